package queue

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// TestReaderReadsAgainWhatDidNotArrive withholds messages from a reader, like a client without room
// for them.
func TestReaderReadsAgainWhatDidNotArrive(t *testing.T) {
	q, err := Open(t.Context(), Options{Dir: t.TempDir(), Registerer: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	for range 5 {
		if _, err := q.Publish(t.Context(), Frame{Counts: []Count{{App: "shop", Received: 1}}, Body: []byte("x")}); err != nil {
			t.Fatal(err)
		}
	}
	r := q.Reader(1)
	defer r.Close()
	for want := uint64(1); want <= 5; want++ {
		d, err := r.Next(t.Context())
		if err != nil || d.Sequence != want {
			t.Fatalf("got frame %d, want %d: %v", d.Sequence, want, err)
		}
		if want == 1 {
			<-r.batch.Messages()
		}
	}
}
