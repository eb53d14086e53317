package storetest

import (
	"github.com/google/uuid"
	"pgregory.net/rapid"

	"theeye/internal/event"
	"theeye/internal/query"
	"theeye/internal/store"
)

// What is drawn comes from so few values that most things meet: times are equal,
// ids come again with the same and with other bodies, sessions are shared.

func draw[T any](t *rapid.T, what string, values ...T) T {
	return rapid.SampledFrom(values).Draw(t, what)
}

// chance is true once in n times.
func chance(t *rapid.T, what string, n int) bool { return rapid.IntRange(1, n).Draw(t, what) == n }

func drawEvent(t *rapid.T) event.Record {
	return ev(rapid.IntRange(1, 12).Draw(t, "id"), func(e *event.Event) {
		e.App = draw(t, "app", "shop", "shop", "blog")
		if chance(t, "has a former id", 4) {
			e.FormerID = id(rapid.IntRange(1, 12).Draw(t, "former id"))
		}
		e.SessionID = draw(t, "session", "s", "t", "é")
		e.Category = draw(t, "category", "page", "form")
		e.OccurredAt = hour * event.Micros(rapid.IntRange(0, 2).Draw(t, "time"))
		e.ReceivedAt = minute * event.Micros(rapid.IntRange(0, 3).Draw(t, "received"))
		e.Seq = draw(t, "seq", event.NoSeq, event.NoSeq, 0, 1)
		e.SentAt = draw(t, "sent at", event.Micros(0), 0, 5)
		e.Sender = draw(t, "sender", "", "web")
		e.Data = []byte(draw(t, "data", `{}`, `{"v":1}`, `{ "v" : 1 }`, `{"v":"1"}`, `{"v":[1,"x",[2]]}`,
			`{"v":{"w":true}}`, `{"v":[{"w":1},{"w":[1,2]}]}`, `{"v":null}`, `{"v":"a\u0062"}`, `{"v":-1.5}`))
	})
}

func drawRejection(t *rapid.T) event.Record {
	missing, future := event.Problem{Code: event.MissingField, Pointer: "/name"}, event.Problem{Code: event.TimestampInFuture, Pointer: "/timestamp"}
	n := rapid.IntRange(1, 12).Draw(t, "id")
	var r event.Record
	switch raw := draw(t, "raw", `{"data":{"v":1}}`, `{"data":{"v":["x"]}}`, "\xff"); raw {
	case "\xff":
		r = rej(n, raw, missing)
	default:
		r = rej(n, raw, missing, future)
	}
	if chance(t, "truncated", 4) {
		r.Rejection.Whole = event.BodyOf([]byte("the whole"))
	}
	if chance(t, "has a former id", 4) {
		r.Rejection.FormerID = id(rapid.IntRange(1, 12).Draw(t, "former id"))
	}
	r.Rejection.SessionID = draw(t, "session", "", "s", "t")
	r.Rejection.Category = draw(t, "category", "", "page")
	r.Rejection.ReceivedAt = minute * event.Micros(rapid.IntRange(0, 3).Draw(t, "received"))
	return r
}

// drawFrame makes a frame of new arrivals and of replays of what is refused. What
// is lost of it is only counted.
func drawFrame(t *rapid.T, frame uint64, refused *[]event.Record) store.Batch {
	var records []event.Record
	for range rapid.IntRange(0, 6).Draw(t, "records") {
		if chance(t, "refuse", 4) {
			records = append(records, drawRejection(t))
		} else {
			records = append(records, drawEvent(t))
		}
	}
	b := batchAt(frame, records)
	if len(*refused) > 0 && chance(t, "replay", 3) {
		b.Records = append(b.Records, replay(t, (*refused)[0], frame))
		*refused = (*refused)[1:]
	}
	for _, r := range b.Records {
		if r.Rejection != nil {
			*refused = append(*refused, r)
		}
	}
	if chance(t, "lose", 6) {
		app := draw(t, "loser", "shop", "gone")
		n := int64(rapid.IntRange(1, 5).Draw(t, "lost"))
		b.Arrivals[app] = store.Arrivals{Received: b.Arrivals[app].Received + n, Lost: n}
	}
	return b
}

// replay makes an event of what was refused, at its place. It is not counted as
// received again.
func replay(t *rapid.T, refused event.Record, frame uint64) event.Record {
	r := drawEvent(t)
	was := refused.Rejection
	r.Event.App, r.Event.ID, r.Event.Position, r.Event.CarriedBy = was.App, was.EventID, was.Position, frame
	r.Event.ReceivedAt = was.ReceivedAt
	return r
}

// drawQuery makes a query of the filters that events, sessions and rejections
// have.
func drawQuery(t *rapid.T, kind query.Kind, last uint64) query.Query {
	q := query.Query{Limit: rapid.IntRange(1, 7).Draw(t, "limit"), Descending: rapid.Bool().Draw(t, "descending")}
	if chance(t, "by app", 3) {
		q.Apps = draw(t, "apps", []string{}, []string{"shop"}, []string{"blog", "none"}, []string{"blog", "shop"})
	}
	if chance(t, "by session", 4) {
		q.SessionIDs = draw(t, "sessions", []string{"s"}, []string{"t", "é"}, []string{"none"})
	}
	if chance(t, "by category", 5) {
		q.Categories = draw(t, "categories", []string{"page"}, []string{"form", "page"})
	}
	if chance(t, "by id", 6) && kind != query.Rejections {
		q.IDs = []uuid.UUID{id(1), id(2), id(3), id(4)}
	}
	if chance(t, "from", 4) {
		q.From = ptr(minute * event.Micros(rapid.IntRange(0, 130).Draw(t, "from")))
	}
	if chance(t, "to", 4) {
		q.To = ptr(minute * event.Micros(rapid.IntRange(0, 130).Draw(t, "to")))
	}
	for range rapid.IntRange(0, 2).Draw(t, "conditions") {
		q.Where = append(q.Where, drawCondition(t, kind))
	}
	if last > 0 && chance(t, "horizon", 4) {
		q.Horizon = rapid.Uint64Range(1, last).Draw(t, "horizon")
	}
	return q
}

func drawCondition(t *rapid.T, kind query.Kind) query.Condition {
	operator := draw(t, "operator", query.Equal, query.NotEqual, query.Less, query.LessOrEqual, query.GreaterOrEqual, query.Greater, query.Contains)
	if chance(t, "own", 3) {
		names := []string{query.App, query.ClientID, query.SessionID, query.Category, query.Name}
		values := []string{"s", "shop", "page", "a", "é", ""}
		if operator != query.Contains && chance(t, "number", 2) {
			names, values = []string{query.SentAt, query.ReceivedAt, query.SchemaVersion}, []string{"0", "5", "60000000"}
			if kind != query.Rejections {
				names = append(names, query.Seq, query.OccurredAt)
			}
		}
		return query.Condition{Field: query.Field{Name: draw(t, "field", names...)}, Operator: operator, Value: draw(t, "value", values...)}
	}
	path := draw(t, "path", []string{"v"}, []string{"v"}, []string{"v", "w"}, []string{"v", "w", "x"})
	value := draw(t, "value", "1", "1.0", "-1.5", "2", "x", "ab", "true", "null", "", "[", "{")
	quoted := operator != query.Contains && chance(t, "quoted", 4)
	return query.Condition{Field: query.Field{Name: query.Data, Path: path}, Operator: operator, Value: value, Quoted: quoted}
}
