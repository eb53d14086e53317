package theeye

import (
	"context"
	"testing"
)

// BenchmarkTrack tracks a small event into a queue that is large enough for all of them, beside a
// server that does not answer.
func BenchmarkTrack(b *testing.B) {
	client, err := New(Options{URL: "http://eye.test", Key: testKey, Transport: newFakeServer([]contractAnswer{{Error: "hang"}}), QueueEvents: b.N, QueueBytes: 1 << 40})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := client.Track(Event{SessionID: "a7", Category: "page interaction", Name: "pageview", Data: map[string]any{"path": "/", "n": 17, "first": true}}); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	ctx, cancel := context.WithCancel(b.Context())
	cancel()
	_ = client.Close(ctx)
}
