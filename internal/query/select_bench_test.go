package query_test

import (
	"testing"

	"theeye/internal/event"
	"theeye/internal/query"
)

// BenchmarkSelectsEvent is what one tail costs for each event that it does not want.
func BenchmarkSelectsEvent(b *testing.B) {
	e := event.Event{App: "shop", SessionID: "s1", Category: "c", Name: "n", Data: []byte(`{"path":"/a/page/of/the/shop","rare":false,"n":12}`)}
	for _, condition := range []string{"data.rare=true", "data.n>20", "name=other", "data.path~checkout"} {
		c, err := query.ParseCondition(condition, query.Events)
		if err != nil {
			b.Fatal(err)
		}
		q := query.Query{Apps: []string{"shop"}, Where: []query.Condition{c}}
		b.Run(condition, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if q.SelectsEvent(&e) {
					b.Fatal("selected")
				}
			}
		})
	}
}
