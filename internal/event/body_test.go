package event_test

import (
	"testing"

	"github.com/google/uuid"

	"theeye/internal/event"
)

// sample returns an event with every field set.
func sample() *event.Event {
	return &event.Event{
		App: "shop", ID: uuid.MustParse(someID), ClientID: "order-17", SessionID: "s", Category: "page", Name: "view",
		Data: []byte(`{"a":1,"b":{"c":"é","d":[1,2]}}`), Timestamp: "2021-01-01T00:00:00Z", SentTime: newYear,
		SentAt: newYear + 1, Seq: 7, Sender: "web", OccurredAt: newYear + 2, ReceivedAt: newYear + 3,
		Position: event.Position{Frame: 4, Index: 5}, CarriedBy: 6, SchemaVersion: 8,
	}
}

func TestSameBody(t *testing.T) {
	t.Parallel()
	for what, change := range map[string]func(*event.Event){
		"nothing": func(*event.Event) {},
		"sent_at": func(e *event.Event) { e.SentAt++ },
		"what the server adds": func(e *event.Event) {
			e.ReceivedAt++
			e.OccurredAt++
			e.Position.Index++
			e.CarriedBy++
			e.SchemaVersion++
		},
		"the order of keys":           func(e *event.Event) { e.Data = []byte(`{"b":{"d":[1,2],"c":"é"},"a":1}`) },
		"white space":                 func(e *event.Event) { e.Data = []byte(" {\n\"a\" :1,\t\"b\":{\"c\":\"é\",\"d\":[ 1 , 2 ]}} ") },
		"escapes of a string":         func(e *event.Event) { e.Data = []byte(`{"a":1,"b":{"c":"\u00e9","d":[1,2]}}`) },
		"escapes of a key":            func(e *event.Event) { e.Data = []byte(`{"\u0061":1,"b":{"c":"é","d":[1,2]}}`) },
		"upper-case digits of escape": func(e *event.Event) { e.Data = []byte(`{"a":1,"b":{"c":"\u00E9","d":[1,2]}}`) },
	} {
		e := sample()
		change(e)
		if !event.SameBody(sample(), e) || !event.SameBody(e, sample()) {
			t.Errorf("%s makes another body", what)
		}
	}
	data := func(text string) func(*event.Event) { return func(e *event.Event) { e.Data = []byte(text) } }
	for what, change := range map[string]func(*event.Event){
		"session_id":            func(e *event.Event) { e.SessionID = "S" },
		"category":              func(e *event.Event) { e.Category = "" },
		"name":                  func(e *event.Event) { e.Name = "views" },
		"timestamp as text":     func(e *event.Event) { e.Timestamp = "2021-01-01T00:00:00.0Z" },
		"seq":                   func(e *event.Event) { e.Seq = 8 },
		"no seq":                func(e *event.Event) { e.Seq = event.NoSeq },
		"sender":                func(e *event.Event) { e.Sender = "" },
		"1 and 1.0":             data(`{"a":1.0,"b":{"c":"é","d":[1,2]}}`),
		"1 and 1e0":             data(`{"a":1e0,"b":{"c":"é","d":[1,2]}}`),
		"a number and a string": data(`{"a":"1","b":{"c":"é","d":[1,2]}}`),
		"the order of elements": data(`{"a":1,"b":{"c":"é","d":[2,1]}}`),
		"a key more":            data(`{"a":1,"b":{"c":"é","d":[1,2]},"e":null}`),
		"a key less":            data(`{"b":{"c":"é","d":[1,2]}}`),
		"the case of a string":  data(`{"a":1,"b":{"c":"É","d":[1,2]}}`),
		"another form of é":     data(`{"a":1,"b":{"c":"e\u0301","d":[1,2]}}`),
		"numbers of one double": data(`{"a":1.00000000000000000001,"b":{"c":"é","d":[1,2]}}`),
	} {
		e := sample()
		change(e)
		if event.SameBody(sample(), e) || event.SameBody(e, sample()) {
			t.Errorf("%s does not make another body", what)
		}
	}
}

// Comparing must not change what is compared.
func TestSameBodyLeavesData(t *testing.T) {
	t.Parallel()
	const text = ` {"b":"\u00e9", "a":1.50} `
	e := sample()
	e.Data = []byte(text)
	event.SameBody(e, sample())
	event.SameBody(sample(), e)
	if string(e.Data) != text {
		t.Errorf("data became %s", e.Data)
	}
}
