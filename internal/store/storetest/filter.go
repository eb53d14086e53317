package storetest

import (
	"github.com/google/uuid"

	"theeye/internal/event"
	"theeye/internal/query"
)

func testFilters(f *fixture) {
	f.write(
		ev(1, at(10)),
		ev(2, at(20), func(e *event.Event) { e.App = "blog" }),
		ev(3, at(30), func(e *event.Event) { e.SessionID = "t" }),
		ev(4, at(40), func(e *event.Event) { e.Category = "form" }),
		ev(5, at(50), func(e *event.Event) { e.Name = "submit'; DROP TABLE events" }),
	)
	for _, c := range []struct {
		what string
		q    query.Query
		want []int
	}{
		{"everything", query.Query{}, []int{1, 2, 3, 4, 5}},
		{"apps", query.Query{Apps: []string{"blog"}}, []int{2}},
		{"no apps", query.Query{Apps: []string{}}, nil},
		{"several apps", query.Query{Apps: []string{"blog", "shop", "none"}}, []int{1, 2, 3, 4, 5}},
		{"ids", query.Query{IDs: []uuid.UUID{id(3), id(1), id(9)}}, []int{1, 3}},
		{"no ids", query.Query{IDs: []uuid.UUID{}}, nil},
		{"sessions", query.Query{SessionIDs: []string{"t", "u"}}, []int{3}},
		{"categories", query.Query{Categories: []string{"form"}}, []int{4}},
		{"names", query.Query{Names: []string{"submit'; DROP TABLE events"}}, []int{5}},
		{"from is inclusive", query.Query{From: ptr(40)}, []int{4, 5}},
		{"to is exclusive", query.Query{To: ptr(20)}, []int{1}},
		{"from and to", query.Query{From: ptr(20), To: ptr(41)}, []int{2, 3, 4}},
		{"all together", query.Query{Apps: []string{"shop"}, SessionIDs: []string{"s"}, From: ptr(11)}, []int{4, 5}},
	} {
		f.same(c.what, c.want, f.numbers(c.q))
		f.same(c.what+", counted", int64(len(c.want)), f.count(c.q))
	}
}

func testConditions(f *fixture) {
	f.write(
		ev(1, data(`{"n":10,"s":"abc","b":true,"z":null,"o":{"x":1}}`), seq(7), func(e *event.Event) { e.Sender = "web"; e.SentAt = 1_600_000_000 * second }),
		ev(2, data(`{"n":10.0,"s":"b","a":[1,"two",[3]],"o":[{"x":1},{"x":[2,5]}]}`)),
		ev(3, data(`{"n":"10","s":"B","b":"true","z":"null","a.b":{"c\"d":1}}`)),
		ev(4, data(`{"n":9,"s":"a\u0062c","o":{"x":{"y":1}}}`)),
		ev(5, data(`{"n":1e1,"s":""}`)),
		ev(6, data(`{}`)),
	)
	for _, c := range []struct {
		where string
		want  []int
	}{
		{"data.n=10", []int{1, 2, 3, 5}},
		{"data.n!=10", []int{4, 6}},
		{"data.n>9", []int{1, 2, 5}},
		{"data.n>=9", []int{1, 2, 4, 5}},
		{"data.n<10", []int{4}},
		{"data.n<=10", []int{1, 2, 4, 5}},
		{"data.n~0", []int{1, 2, 3}},
		{"data.s=abc", []int{1, 4}},
		{"data.s~b", []int{1, 2, 4}},
		{"data.s>abc", []int{2}},
		{"data.s>=abc", []int{1, 2, 4}},
		{"data.s<b", []int{1, 3, 4, 5}},
		{"data.b=true", []int{1, 3}},
		{"data.z=null", []int{1, 3}},
		{"data.a=1", []int{2}},
		{"data.a=two", []int{2}},
		{"data.a=3", nil},
		{"data.o.x=1", []int{1, 2}},
		{"data.o.x=5", []int{2}},
		{"data.o.x>1", []int{2}},
		{"data.o.x!=1", []int{3, 4, 5, 6}},
		{"data.o=1", nil},
		{"data.o!=1", []int{1, 2, 3, 4, 5, 6}},
		{`data."a.b"."c\"d"=1`, []int{3}},
		{"data.none!=x", []int{1, 2, 3, 4, 5, 6}},
		{"data.none~x", nil},
		{"seq=7", []int{1}},
		{"seq!=7", []int{2, 3, 4, 5, 6}},
		{"seq>=0", []int{1}},
		{"sender=web", []int{1}},
		{"sender!=web", []int{2, 3, 4, 5, 6}},
		{"sent_at>=2020-01-01T00:00:00Z", []int{1}},
		{"occurred_at>=2021-01-01T00:00:00Z", nil},
		{"id=" + id(4).String(), []int{4}},
		{"name~ie", []int{1, 2, 3, 4, 5, 6}},
		{"category<pagf", []int{1, 2, 3, 4, 5, 6}},
		{"app=shop", []int{1, 2, 3, 4, 5, 6}},
	} {
		f.same(c.where, c.want, f.numbers(query.Query{Where: f.where(query.Events, c.where)}))
	}
	f.same("all must hold", []int{2}, f.numbers(query.Query{Where: f.where(query.Events, "data.n=10", "data.s=b")}))
}
