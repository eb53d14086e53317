package ingest_test

import (
	"fmt"
	"strings"
	"testing"

	"theeye/internal/event"
	"theeye/internal/ingest"
)

// strangers returns an event that lacks everything and has n members that no event has, of five bytes and more each.
func strangers(n int, value string) string {
	var b strings.Builder
	b.WriteString("{")
	for i := range n {
		fmt.Fprintf(&b, `"%x":%s,`, i, value)
	}
	return b.String() + `"data":{}}`
}

// Of unknown members as many are told as of other problems, and the rest costs nothing but reading it.
func TestManyUnknownMembers(t *testing.T) {
	c, kept := start(t, ingest.Options{})
	const unknown = 20_000
	for _, value := range []string{"1", "null"} {
		few, many := request(strangers(60, value)), request(strangers(unknown, value))
		if _, err := c.Collect(t.Context(), many); err != nil {
			t.Fatal(err)
		}
		records := kept.records(t)
		problems := records[len(records)-1].Rejection.Problems
		if last := problems[len(problems)-1]; len(problems) != ingest.MaxProblems || last.Code != event.InvalidField ||
			!strings.HasSuffix(last.Message, fmt.Sprintf("(and %d problems more)", unknown+4-ingest.MaxProblems)) {
			t.Errorf("%d problems, at last %v", len(problems), last)
		}
		allocations := func(r ingest.Request) float64 {
			return testing.AllocsPerRun(3, func() { _, _ = c.Collect(t.Context(), r) })
		}
		if most := allocations(few) + 3*unknown; allocations(many) > most {
			t.Errorf("%v allocations for %d unknown members, want at most %v", allocations(many), unknown, most)
		}
	}
}

func BenchmarkUnknownMembers(b *testing.B) {
	kept := &frames{}
	c := ingest.New(ingest.Options{Publish: kept.Publish})
	body := strangers(24_000, "1")
	req := request("[" + body + "," + body + "," + body + "," + body + "]")
	b.SetBytes(int64(len(req.Body)))
	ctx := b.Context()
	go func() { _ = c.Run(ctx) }()
	for b.Loop() {
		if _, err := c.Collect(ctx, req); err != nil {
			b.Fatal(err)
		}
		kept.list = nil
	}
}
