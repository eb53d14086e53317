package storetest

import (
	"math/big"
	"strings"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"theeye/internal/event"
	"theeye/internal/query"
)

// testNumbers compares numbers that are equal, or nearly, as 64-bit floating point.
func testNumbers(f *fixture) {
	literals := []string{
		1: "1234567890123456789", "1234567890123456788", "1234567890123456789.0", "123456789012345678.9e1",
		"12345678901234567890", "12345678901234567891", "9007199254740993", "9007199254740992",
		"0.1", "0.100000000000000005551115123125782702118", "1e-1", "100000000000000000000000000000000000001e-39",
		"0", "-0", "-0.0", "0e5", "1e-308", "0.0000000000000000000000000000000000001e-308",
		"1e308", "9999999999999999999999999999999999999999e308", "9999999999999999999999999999999999999998e308",
		`"1234567890123456789"`, `"0.1"`, "-1234567890123456789", "10.00000000000000000000001", "10", "1e1", "[9.99,10.0000000000000000000000000000000001]",
	}
	var records []event.Record
	for n, literal := range literals {
		if literal != "" {
			records = append(records, ev(n, data(`{"v":`+literal+`}`)))
		}
	}
	f.write(records...)
	for where, want := range map[string][]int{
		"data.v=1234567890123456789":                       {1, 3, 4, 22},
		"data.v=1234567890123456788":                       {2},
		"data.v=1234567890123456789.00":                    {1, 3, 4},
		"data.v=12345678901234567890":                      {5},
		"data.v=9007199254740992":                          {8},
		"data.v=9007199254740993":                          {7},
		"data.v=0.1":                                       {9, 11, 23},
		"data.v=1e-1":                                      {9, 11},
		"data.v=0.100000000000000005551115123125782702118": {10},
		"data.v=0.100000000000000000000000000000000000001": {12},
		"data.v=0":      {13, 14, 15, 16},
		"data.v=-0.0":   {13, 14, 15, 16},
		"data.v=1e-308": {17},
		"data.v=0.0000000000000000000000000000000000001e-308": {18},
		"data.v=1e308": {19},
		"data.v=9999999999999999999999999999999999999999e308":  {20},
		"data.v>9999999999999999999999999999999999999998e308":  {20},
		"data.v>=9999999999999999999999999999999999999998e308": {20, 21},
		"data.v<=-1234567890123456789":                         {24},
		"data.v<-1234567890123456788":                          {24},
		"data.v=10":                                            {26, 27},
		"data.v=10.0000000000000000000000000000000001":         {28},
		"data.v~10.00000000000000000000001":                    {25},
		"data.v~e1":                                            {4, 27},
		"data.v~-0":                                            {14, 15},
		"data.v~1234567890123456789":                           {1, 3, 5, 6, 22, 24},
	} {
		q := query.Query{Where: f.where(query.Events, where)}
		f.same(where, want, f.numbers(q))
		f.same(where+", counted", int64(len(want)), f.count(q))
	}
}

// drawNumber draws the literal of a number that the intake takes, often close to others.
func drawNumber(t *rapid.T) string {
	digits := draw(t, "digits", "1", "10", "100", "9007199254740992", "9007199254740993", "1234567890123456789", "1234567890123456788",
		"9999999999999999", "123456789012345", "1234567890123450", "1000000000000000000000000000000000000001", "4503599627370497", "0", "225073858507201")
	if at := rapid.IntRange(0, len(digits)-1).Draw(t, "point"); at > 0 {
		digits = digits[:at] + "." + digits[at:]
	}
	literal := draw(t, "sign", "", "", "-") + digits
	if strings.Contains(digits, ".") && len(digits) < 38 {
		literal += draw(t, "zeros", "", "0", "00")
	}
	return literal + draw(t, "exponent", "", "", "", "e0", "E1", "e-1", "e+2", "e-15", "e15", "e308", "e-308", "e-307", "e-300")
}

// testExactNumbers compares what a store selects and counts with what math/big computes.
func testExactNumbers(f *fixture) {
	const events = 300
	numbers := rapid.Custom(drawNumber)
	literals := make([]string, events)
	records := make([]event.Record, events)
	for n := range events {
		literals[n] = numbers.Example(n)
		json := `{"v": ` + literals[n] + `}`
		switch n % 5 {
		case 3:
			json = `{"v":["x", ` + literals[n] + `]}`
		case 4:
			json = `{"v":` + literals[n] + `,"w":12345678901234567.8901}`
		}
		records[n] = ev(n, data(json))
	}
	f.write(records...)
	rapid.Check(f.T, func(t *rapid.T) {
		where := "data.v" + draw(t, "operator", "=", "!=", "<", "<=", ">", ">=") + numbers.Draw(t, "number")
		c, err := query.ParseCondition(where, query.Events)
		if err != nil {
			t.Fatal(err)
		}
		var want []int
		for n, literal := range literals {
			if order := ratOf(literal).Cmp(ratOf(c.Value)); holdsExactly(c.Operator, order) {
				want = append(want, n)
			}
		}
		got := f.numbers(query.Query{Where: []query.Condition{c}, Limit: events})
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("%s (-want +got):\n%s\nof %q", where, diff, literals)
		}
	})
	want, got := map[string]int64{}, map[string]int64{}
	for _, literal := range literals {
		want[ratOf(literal).RatString()]++
	}
	values, err := f.Values(f.Context(), query.Query{Limit: events}, query.Field{Name: query.Data, Path: []string{"v"}})
	if err != nil {
		f.Fatal(err)
	}
	for _, v := range values.Top {
		if v.Type == query.NumberType {
			got[ratOf(v.Value).RatString()] = v.Count
		}
	}
	f.same("values", want, got)
}

func ratOf(literal string) *big.Rat {
	r, _ := new(big.Rat).SetString(literal)
	return r
}

func holdsExactly(o query.Operator, order int) bool {
	return map[query.Operator]bool{
		query.Equal: order == 0, query.NotEqual: order != 0, query.Less: order < 0, query.LessOrEqual: order <= 0,
		query.Greater: order > 0, query.GreaterOrEqual: order >= 0,
	}[o]
}
