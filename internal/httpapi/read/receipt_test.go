package read_test

import (
	"strings"
	"testing"

	"theeye/internal/event"
	"theeye/internal/httpapi/apitest"
	"theeye/internal/progress"
	"theeye/internal/queue"
)

// Arrivals in the queue are reported as pending, and a replay together with the rejection that is
// stored at the same position. Ids that are not UUIDs are found, too.
func TestReceiptOfWhatWaits(t *testing.T) {
	var q *queue.Queue
	a := apitest.Start(t, func(o *apitest.Parts) { o.Progress, q = progress.New(1), o.Queue })
	publish := func(records ...event.Record) {
		t.Helper()
		var f queue.Frame
		for _, r := range records {
			f.Body = event.AppendRecord(f.Body, r, r.Position().Frame != 0)
		}
		if _, err := q.Publish(t.Context(), f); err != nil {
			t.Fatal(err)
		}
	}
	refused := apitest.Simple(1, "shop")
	a.Reject(refused, "a")
	publish(event.Record{Event: new(apitest.Simple(9, "shop"))}) // in place of the frame that is stored
	replayed := refused
	replayed.Position = event.Position{Frame: 1}
	client := apitest.Simple(2, "shop")
	client.ID, client.ClientID = event.ParseID("shop", "order/2")
	publish(event.Record{Event: &replayed}, event.Record{Event: &client})
	for path, wants := range map[string][]string{
		apitest.Number(1).String(): {`"status":"pending"`, `"fate":"pending","problems":[],"replay":{"frame":2}`, `"fate":"rejected"`},
		"order%2F2":                {`"status":"pending"`, `"client_id":"order/2"`, `"position":{"frame":2,"index":1}`},
	} {
		text := a.Text("shop", "/v1/receipts/"+path)
		for _, want := range wants {
			if !strings.Contains(text, want) {
				t.Errorf("receipt of %s lacks %s: %s", path, want, text)
			}
		}
	}
}
