package ingest_test

import (
	"fmt"
	"strings"
	"testing"

	"theeye/internal/event"
	"theeye/internal/ingest"
)

// strangers returns an event that lacks everything and has n members that no event has, of five
// bytes and more each.
func strangers(n int, value string) string {
	var b strings.Builder
	b.WriteString("{")
	for i := range n {
		fmt.Fprintf(&b, `"%x":%s,`, i, value)
	}
	return b.String() + `"data":{}}`
}

// Of unknown members as many are told as of other problems, and the rest costs nothing but reading
// it.
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
			!strings.HasSuffix(last.Message, fmt.Sprintf("(and %d more problems)", unknown+4-ingest.MaxProblems)) {
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

// Of an event type that must be registered and is not, the nearest is told, which is looked for few
// times in one request.
func TestNearestType(t *testing.T) {
	looked := 0
	c, _ := start(t, ingest.Options{NearestType: func(category, name string) (string, string, bool) {
		looked++
		return category, "pageview", strings.HasPrefix(name, "pagevi")
	}})
	var lines strings.Builder
	for range 2 {
		for i := range 100 {
			fmt.Fprintf(&lines, `{"session_id":"s","category":"c","name":"pagevi%d","data":{},"timestamp":"2026-01-01T12:00:00Z"}`+"\n", i)
		}
	}
	req := request(lines.String())
	req.Lines, req.RefuseUnknownTypes = true, true
	receipt, err := c.Collect(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	const known = "; did you mean \"c\" / \"pageview\"?"
	for _, i := range []int{0, 100} {
		if p := receipt.Items[i].Problems; len(p) != 1 || p[0].Code != event.UnknownEventType || !strings.HasSuffix(p[0].Message, known) {
			t.Errorf("event %d: %v", i, p)
		}
	}
	if p := receipt.Items[99].Problems; len(p) != 1 || strings.HasSuffix(p[0].Message, known) || looked > 10 {
		t.Errorf("the nearest was looked for %d times: %v", looked, p)
	}
}
