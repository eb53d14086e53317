package main

// totals are the sums of all answers.
type totals struct {
	Received   int `json:"received"`
	Accepted   int `json:"accepted"`
	Rejected   int `json:"rejected"`
	Duplicates int `json:"duplicates"`
}

// intakeAnswer is the server's answer to a batch; Events lists only those that
// were not accepted.
type intakeAnswer struct {
	totals
	Events []struct {
		Index    int           `json:"index"`
		ID       string        `json:"id"`
		Status   string        `json:"status"`
		Problems []problemItem `json:"problems"`
	} `json:"events"`
}

func (t *totals) add(o totals) {
	t.Received += o.Received
	t.Accepted += o.Accepted
	t.Rejected += o.Rejected
	t.Duplicates += o.Duplicates
}

// problemItem is one thing that is wrong with an event.
type problemItem struct {
	Code    string `json:"code"`
	Pointer string `json:"pointer"`
	Message string `json:"message"`
}
