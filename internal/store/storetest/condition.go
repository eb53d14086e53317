package storetest

import (
	"github.com/google/uuid"

	"theeye/internal/event"
	"theeye/internal/query"
)

func data(text string) func(*event.Event) {
	return func(e *event.Event) { e.Data = []byte(text) }
}

// testArrays goes through arrays on paths, with one level of them at each step.
func testArrays(f *fixture) {
	f.write(
		ev(1, data(`{"a":[1,"two",true,null]}`)),
		ev(2, data(`{"a":[[1],{"b":1}]}`)),
		ev(3, data(`{"a":[{"b":1},{"b":[5,"x"]}]}`)),
		ev(4, data(`{"a":{"b":[[7]]}}`)),
		ev(5, data(`{"a":[]}`)),
		ev(6, data(`{"a":{"0":{"b":9}}}`)),
	)
	for where, want := range map[string][]int{
		`data~"two"`:    {1},
		"data~b":        {2, 3, 4, 6},
		"data~B":        nil,
		"data~%":        nil,
		"data.a=1":      {1},
		"data.a!=1":     {2, 3, 4, 5, 6},
		"data.a=two":    {1},
		"data.a~wo":     {1},
		"data.a=true":   {1},
		"data.a=null":   {1},
		"data.a>0":      {1},
		"data.a<z":      {1},
		"data.a=[1]":    nil,
		"data.a=[]":     nil,
		"data.a!=[]":    {1, 2, 3, 4, 5, 6},
		"data.a~b":      nil,
		"data.a.b=1":    {2, 3},
		"data.a.b!=1":   {1, 4, 5, 6},
		"data.a.b=5":    {3},
		"data.a.b>4":    {3},
		"data.a.b~x":    {3},
		"data.a.b=7":    nil,
		"data.a.0=1":    nil,
		"data.a.0.b=9":  {6},
		"data.a.0.b!=9": {1, 2, 3, 4, 5},
		"data.a.*=1":    nil,
		"data.a.#=1":    nil,
		"data.a.[0]=1":  nil,
	} {
		f.same(where, want, f.numbers(query.Query{Where: f.where(query.Events, where)}))
	}
}

// testScalars compares values of each JSON type with values that read as others.
func testScalars(f *fixture) {
	f.write(
		ev(1, data(`{"v":"true","k":"A%_\\'\"$"}`)),
		ev(2, data(`{"v":true,"k":"a"}`)),
		ev(3, data(`{"v":"1e1","k":"é"}`)),
		ev(4, data(`{"v":10,"k":"日本"}`)),
		ev(5, data(`{"v":-2.5,"k":""}`)),
		ev(6, data(`{"v":9007199254740993,"k":null}`)),
		ev(7, data(`{"v":{"v":10},"k":"Z"}`)),
		ev(8, data(`{"v":false,"":{"":"empty"}}`)),
		ev(9, data(`{"v":"false","data":{"v":"x"},"a/b":1,"a~b":2,"a~1b":3,"ä":4,"*":5,"$":6}`)),
	)
	for where, want := range map[string][]int{
		"data.v=true":                 {1, 2},
		"data.v!=true":                {3, 4, 5, 6, 7, 8, 9},
		`data.v="true"`:               {1}, // a quoted value is compared with text alone
		`data.v!="true"`:              {2, 3, 4, 5, 6, 7, 8, 9},
		`data.v="10"`:                 nil,
		`data.v="1e1"`:                {3},
		`data.v>"1"`:                  {1, 3, 9},
		`data.v<"9"`:                  {3},
		`data.k="null"`:               nil,
		`data.k="A%_\\'\"$"`:          {1},
		`data.v="{\"v\":10}"`:         nil,
		"data.v=false":                {8, 9},
		"data.v~als":                  {8, 9},
		"data.v~ru":                   {1, 2},
		"data.v=10":                   {4},
		"data.v=1e1":                  {3, 4},
		"data.v=10.0":                 {4},
		"data.v~1":                    {3, 4, 6},
		"data.v~-2":                   {5},
		"data.v<0":                    {5},
		"data.v>=-2.5":                {4, 5, 6},
		"data.v<=-25e-1":              {5},
		"data.v>9007199254740991":     {6},
		"data.v=9007199254740993":     {6},
		"data.v>a":                    {1, 9},
		"data.v<a":                    {3},
		"data.v>=false":               {1, 9},
		"data.v={}":                   nil,
		`data.v={"v":10}`:             nil,
		"data.v~{":                    nil,
		"data.v>{":                    nil,
		"data.v.v=10":                 {7},
		"data.k=a":                    {2},
		"data.k=A":                    nil,
		"data.k~a":                    {2}, // case counts
		"data.k~%":                    {1},
		"data.k~_":                    {1},
		"data.k~$":                    {1},
		`data.k~\`:                    {1},
		`data.k~'"`:                   {1},
		`data.k=A%_\'"$`:              {1},
		"data.k~.*":                   nil,
		"data.k=é":                    {3},
		"data.k=e\u0301":              nil,
		"data.k>z":                    {3, 4},
		"data.k<a":                    {1, 5, 7}, // by bytes: upper case first
		"data.k>é":                    {4},
		"data.k=":                     {5},
		"data.k!=":                    {1, 2, 3, 4, 6, 7, 8, 9},
		"data.k~":                     {1, 2, 3, 4, 5, 7},
		"data.k>=":                    {1, 2, 3, 4, 5, 7},
		"data.k=null":                 {6},
		`data."".""=empty`:            {8},
		"data.data.v=x":               {9},
		"data.a/b=1":                  {9},
		`data."a~b"=2`:                {9},
		`data."a~1b"=3`:               {9},
		"data.ä=4":                    {9},
		"data.*=5":                    {9},
		"data.$=6":                    {9},
		"data.V=10":                   nil, // case counts
		"data.v.none.deeper.still!=1": {1, 2, 3, 4, 5, 6, 7, 8, 9},
	} {
		f.same(where, want, f.numbers(query.Query{Where: f.where(query.Events, where)}))
	}
}

// testOwnFields goes through the own fields of events.
func testOwnFields(f *fixture) {
	f.write(
		ev(1, at(10), seq(0), func(e *event.Event) {
			e.SentAt, e.Sender, e.ClientID, e.SchemaVersion = 5, "web", "order/1", 2
		}),
		ev(2, at(20), seq(9), func(e *event.Event) { e.ReceivedAt, e.Timestamp, e.App = 7, "1609459200.5", "blog" }),
		ev(3, at(30), seq(10), func(e *event.Event) { e.SessionID, e.Category, e.Name = "10", "Page", "true" }),
		ev(4, at(40)),
	)
	condition := func(name string, operator query.Operator, value string) query.Query {
		return query.Query{Where: []query.Condition{{Field: query.Field{Name: name}, Operator: operator, Value: value}}}
	}
	for _, c := range []struct {
		name     string
		operator query.Operator
		value    string
		want     []int
	}{
		{query.App, query.NotEqual, "shop", []int{2}},
		{query.App, query.Contains, "lo", []int{2}},
		{query.ID, query.Greater, id(2).String(), []int{3, 4}},
		{query.ID, query.NotEqual, id(2).String(), []int{1, 3, 4}},
		{query.ClientID, query.Equal, "order/1", []int{1}},
		{query.ClientID, query.NotEqual, "order/1", []int{2, 3, 4}},
		{query.ClientID, query.Contains, "", []int{1}},
		{query.ClientID, query.Less, "z", []int{1}},
		{query.ClientID, query.Equal, "", nil},
		{query.ClientID, query.NotEqual, "", []int{1, 2, 3, 4}},
		{query.SessionID, query.Equal, "10", []int{3}},
		{query.SessionID, query.Equal, "10.0", nil}, // as text
		{query.SessionID, query.Less, "9", []int{3}},
		{query.Category, query.Less, "a", []int{3}},
		{query.Name, query.Equal, "true", []int{3}},
		{query.Timestamp, query.Contains, ".5", []int{2}},
		{query.Timestamp, query.Less, "2", []int{2}},
		{query.OccurredAt, query.GreaterOrEqual, "30", []int{3, 4}},
		{query.OccurredAt, query.Less, "9", nil}, // as numbers
		{query.ReceivedAt, query.Equal, "7", []int{2}},
		{query.SentAt, query.Equal, "5", []int{1}},
		{query.SentAt, query.NotEqual, "5", []int{2, 3, 4}},
		{query.SentAt, query.LessOrEqual, "5", []int{1}},
		{query.SentAt, query.Equal, "0", nil},
		{query.SentAt, query.NotEqual, "0", []int{1, 2, 3, 4}},
		{query.Seq, query.Equal, "0", []int{1}},
		{query.Seq, query.Greater, "9", []int{3}},
		{query.Seq, query.LessOrEqual, "9", []int{1, 2}},
		{query.Seq, query.NotEqual, "9", []int{1, 3, 4}},
		{query.Sender, query.Contains, "e", []int{1}},
		{query.Sender, query.NotEqual, "web", []int{2, 3, 4}},
		{query.SchemaVersion, query.Equal, "0", []int{2, 3, 4}},
		{query.SchemaVersion, query.Greater, "1", []int{1}},
	} {
		q := condition(c.name, c.operator, c.value)
		f.same(q.Where[0].String(), c.want, f.numbers(q))
	}
}

func testRejectionConditions(f *fixture) {
	f.write(
		rej(1, `{"data":{"n":10,"a":[1,2]}}`),
		rejWith(rej(2, `{"data":{"n":"10"}}`), func(r *event.Rejection) {
			r.SessionID, r.Category, r.Name, r.SentAt, r.ClientID, r.SchemaVersion = "t", "form", "send", 5, "order/1", 3
		}),
		rejWith(rej(3, `{"data":{"n":10},"data":{}}`), func(r *event.Rejection) { r.App, r.SessionID = "blog", "" }),
		rej(4, `{"data":[10]}`),
		rej(5, "\xff\x00"),
	)
	all := []int{1, 2, 3, 4, 5}
	for _, c := range []struct {
		what string
		q    query.Query
		want []int
	}{
		{"apps", query.Query{Apps: []string{"blog"}}, []int{3}},
		{"no apps", query.Query{Apps: []string{}}, nil},
		{"sessions", query.Query{SessionIDs: []string{"t"}}, []int{2}},
		{"categories", query.Query{Categories: []string{"form", "none"}}, []int{2}},
		{"names", query.Query{Names: []string{"send"}}, []int{2}},
		{"codes and pointers", query.Query{Codes: []string{event.MissingField}, Pointers: []string{"/none"}}, nil},
		{"several events", query.Query{EventIDs: []uuid.UUID{id(1), id(5)}}, []int{1, 5}},
		{"from is inclusive", query.Query{From: ptr(1_600_000_200*second + 4)}, []int{4, 5}},
		{"to is exclusive", query.Query{To: ptr(1_600_000_200*second + 2)}, []int{1}},
	} {
		f.same(c.what, c.want, f.refused(c.q))
	}
	for where, want := range map[string][]int{
		"data.n=10":                  {1, 2},
		"data.n!=10":                 {3, 4, 5},
		"data.n>=10":                 {1},
		"data.a=2":                   {1},
		"data.none!=x":               all,
		"session_id!=s":              {2, 3},
		"session_id~":                {1, 2, 4, 5},
		"sent_at!=1":                 all,
		"name=send":                  {2},
		"name!=send":                 {1, 3, 4, 5},
		"client_id~/":                {2},
		"schema_version>=1":          {2},
		"app=blog":                   {3},
		"received_at>=0":             all,
		"event_id=" + id(4).String(): {4},
		"id=" + rej(5, "\xff\x00").Rejection.ID.String(): {5},
	} {
		f.same(where, want, f.refused(query.Query{Where: f.where(query.Rejections, where)}))
	}
}

// refused returns which test ids a query for rejections selects, in order.
func (f *fixture) refused(q query.Query) []int {
	f.Helper()
	p, err := f.Rejections(f.Context(), q)
	if err != nil {
		f.Fatal("rejections:", err)
	}
	var list []int
	for _, r := range p.Items {
		list = append(list, number(r.EventID))
	}
	return list
}
