package theeye

import (
	"encoding/json"
	"math"
	"math/big"
	"reflect"
	"strings"
	"testing"
	"time"
)

type panicking struct{}

func (panicking) MarshalJSON() ([]byte, error) { panic("no") }

func TestEncodedValues(t *testing.T) {
	for name, c := range map[string]struct {
		value any
		want  string
	}{
		"nil":                   {nil, `null`},
		"bool":                  {true, `true`},
		"integers":              {[]any{1, int64(math.MinInt64), uint64(math.MaxUint64), int8(-3)}, `[1,-9223372036854775808,18446744073709551615,-3]`},
		"floats":                {[]any{0.0, 1.5, -2e-7, 1e20, 1e21, float32(0.1), math.MaxFloat64}, `[0,1.5,-2e-07,100000000000000000000,1e+21,0.1,1.7976931348623157e+308]`},
		"a number as written":   {json.Number("1.000"), `1.000`},
		"a large integer":       {new(big.Int).Lsh(big.NewInt(1), 100), `1267650600228229401496703205376`},
		"escapes":               {"\"\\\n\r\t\x00\x1f<&>/", `"\"\\\n\r\t\u0000\u001f<&>/"`},
		"Unicode":               {"é🙂\u2028\uFFFD", "\"é🙂\u2028\uFFFD\""},
		"names in order":        {map[string]any{"b": 1, "a": 2, "é": 3, "": 4}, `{"":4,"a":2,"b":1,"é":3}`},
		"nothing":               {[]any{map[string]any(nil), []any(nil), map[string]any{}, []any{}}, `[null,null,{},[]]`},
		"a struct":              {struct{ A, B string }{"<", "é\uFFFD\\ufffd"}, "{\"A\":\"<\",\"B\":\"é\uFFFD\\\\ufffd\"}"},
		"a time":                {time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), `"2026-01-02T03:04:05.000000006Z"`},
		"raw":                   {json.RawMessage(`{"a":1.0}`), `{"a":1.0}`},
		"a pair in escapes":     {json.RawMessage(`"\ud83d\ude42\n"`), `"\ud83d\ude42\n"`},
		"deep, but not too":     {nested(maxDepth - 1), strings.Repeat("[", maxDepth-1) + strings.Repeat("]", maxDepth-1)},
		"other maps and arrays": {map[string]int{"a": 1}, `{"a":1}`},
	} {
		got, err := appendValue(nil, c.value, 1)
		if err != nil || string(got) != c.want {
			t.Errorf("%s: %s, want %s (%v)", name, got, c.want, err)
		}
		if !json.Valid(got) {
			t.Errorf("%s: %s is not valid", name, got)
		}
	}
}

// nested returns an array in so many arrays.
func nested(depth int) any {
	value := []any{}
	for range depth - 1 {
		value = []any{value}
	}
	return value
}

func TestValuesThatCannotBeEncoded(t *testing.T) {
	type list struct{ Next *list }
	ring := &list{}
	ring.Next = ring
	circularArray := []any{nil}
	circularArray[0] = circularArray
	for name, value := range map[string]any{
		"NaN":                        math.NaN(),
		"NaN in a struct":            struct{ F float64 }{math.NaN()},
		"a 32-bit infinity":          float32(math.Inf(-1)),
		"a circular array":           circularArray,
		"a ring":                     ring,
		"too deep":                   nested(maxDepth + 1),
		"a function":                 func() {},
		"a channel":                  make(chan int),
		"a complex number":           1i,
		"invalid text":               "a\xffb",
		"an invalid name":            map[string]any{"\xc0\x80": 1},
		"invalid text in a struct":   struct{ S string }{"\xff"},
		"an invalid name elsewhere":  map[string]int{"\xff": 1},
		"invalid bytes, raw":         json.RawMessage("\"\xff\""),
		"half a pair, raw":           json.RawMessage(`"\ud83d!"`),
		"half a pair at the end":     json.RawMessage(`"\ud83d"`),
		"the other half":             json.RawMessage(`"\ude42"`),
		"two first halves":           json.RawMessage(`"\ud83d\ud83d"`),
		"what is not JSON":           json.RawMessage(`{`),
		"a number that is not one":   json.Number("1x"),
		"a MarshalJSON that panics":  panicking{},
		"a value deep in the others": map[string]any{"a": []any{map[string]any{"b": math.Inf(1)}}},
	} {
		client, recorded := newTestClient(t, newFakeServer(accepts), Options{})
		if err := client.Track(Event{Category: "c", Name: "n", Data: map[string]any{"v": value}}); codeOf(err) != CodeUnserializable {
			t.Errorf("%s: %v", name, err)
		}
		if err := client.Close(t.Context()); err != nil {
			t.Error(err)
		}
		compareErrors(t, []contractError{{CodeUnserializable, 1}}, recorded.all())
		if s := client.Stats(); s != (Stats{Dropped: 1}) {
			t.Errorf("%s: %+v", name, s)
		}
	}
	for _, e := range []Event{{ID: "\xff"}, {SessionID: "\xff"}, {Category: "\xff"}, {Name: "\xff"}} {
		e.SessionID += "s"
		if _, err := appendEvent(nil, &e, time.Now()); err == nil {
			t.Errorf("%+v was encoded", e)
		}
	}
}

func FuzzAppendText(f *testing.F) {
	for _, seed := range []string{"", "a\"\\\n", "é\u2028🙂", "\xff", "\x00\x7f"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := appendText(nil, text)
		valid := strings.ToValidUTF8(text, "") == text
		if (err == nil) != valid {
			t.Fatalf("%q: %v", text, err)
		}
		var back string
		if valid && (json.Unmarshal(got, &back) != nil || back != text) {
			t.Errorf("%q became %s", text, got)
		}
	})
}

// FuzzUnicodeText compares what unicodeText says of a JSON string with what encoding/json, which
// replaces what is not Unicode, makes of it.
func FuzzUnicodeText(f *testing.F) {
	for _, seed := range []string{`""`, `"\ud83d\ude42"`, `"\ud83d"`, `"\\ud83d"`, `"\ufffd"`, "\"\xff\"", `"\u00e9"`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var got string
		if !strings.HasPrefix(text, `"`) || json.Unmarshal([]byte(text), &got) != nil || strings.Contains(text, "\uFFFD") {
			return
		}
		if unicode := unicodeText([]byte(text)); unicode == strings.Contains(got, "\uFFFD") {
			t.Errorf("%q is Unicode: %t", text, unicode)
		}
	})
}

func TestUUID(t *testing.T) {
	at := time.UnixMilli(0x0123456789ab)
	id := newUUID(at)
	if len(id) != 36 || !strings.HasPrefix(id, "01234567-89ab-7") || !strings.ContainsRune("89ab", rune(id[19])) {
		t.Error(id)
	}
	if newUUID(at) == id {
		t.Error("two ids are equal")
	}
}

func TestReadSettledOfOtherBytes(t *testing.T) {
	for _, text := range []string{"", "short", strings.Repeat("x", settledSize)} {
		if file, events := readSettled(strings.NewReader(text)); !reflect.DeepEqual([]any{file, events}, []any{uint64(0), 0}) {
			t.Errorf("%q: %d, %d", text, file, events)
		}
	}
}
