package client

import theeye "theeye/clients/go"

// Totals counts what became of the events of one or more requests.
type Totals struct {
	Received   int `json:"received"`
	Accepted   int `json:"accepted"`
	Rejected   int `json:"rejected"`
	Duplicates int `json:"duplicates"`
}

// IntakeAnswer is the server's answer to a batch. With quiet=1 Events lists only those that were
// not accepted.
type IntakeAnswer struct {
	Totals
	Events []struct {
		Index    int            `json:"index"`
		ID       string         `json:"id"`
		Status   string         `json:"status"`
		Problems []EventProblem `json:"problems"`
	} `json:"events"`
}

// Add adds the totals of another answer.
func (t *Totals) Add(o Totals) {
	t.Received += o.Received
	t.Accepted += o.Accepted
	t.Rejected += o.Rejected
	t.Duplicates += o.Duplicates
}

// EventProblem is one thing that is wrong with an event.
type EventProblem = theeye.Problem
