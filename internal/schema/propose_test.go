package schema_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"theeye/internal/schema"
)

// propose derives a schema from the data of events, the oldest first.
func propose(t testing.TB, data ...string) schema.Proposal {
	t.Helper()
	p, err := schema.NewProposer()
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range slices.Backward(data) {
		if !p.Add(schema.Decode([]byte(text))) {
			t.Errorf("%s is not taken", text)
		}
	}
	proposal, err := p.Propose()
	if err != nil {
		t.Fatal(err)
	}
	return proposal
}

func TestProposal(t *testing.T) {
	var data []string
	for i := range 60 {
		referrer := `"https://example.com/` + fmt.Sprint(i) + `"`
		if i == 7 {
			referrer = "null"
		}
		extra := ""
		if i >= 2 {
			extra = fmt.Sprintf(`,"host":"h%d.example"`, i)
		}
		data = append(data, fmt.Sprintf(`{"path":"/%d","element":%q,"n":%d.0,"share":%d.5,"at":"2026-01-01T00:00:%02dZ","referrer":%s,
			"id":"e2085be5-9137-4e4e-80b5-f1ffddc254%02d","form":{"mail":"a%d@example.com","tags":["x%d"]}%s}`,
			i, []string{"button", "link", "image"}[i%3], i, i, i, referrer, i, i, i, extra))
	}
	got := propose(t, data...)
	if diff := cmp.Diff(strings.TrimSpace(`
{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "properties": {
    "at": {
      "format": "date-time",
      "type": "string"
    },
    "element": {
      "enum": [
        "button",
        "image",
        "link"
      ],
      "type": "string"
    },
    "form": {
      "properties": {
        "mail": {
          "format": "email",
          "type": "string"
        },
        "tags": {
          "items": {
            "type": "string"
          },
          "type": "array"
        }
      },
      "required": [
        "mail",
        "tags"
      ],
      "type": "object"
    },
    "host": {
      "type": "string"
    },
    "id": {
      "format": "uuid",
      "type": "string"
    },
    "n": {
      "type": "integer"
    },
    "path": {
      "type": "string"
    },
    "referrer": {
      "format": "uri",
      "type": [
        "null",
        "string"
      ]
    },
    "share": {
      "type": "number"
    }
  },
  "required": [
    "at",
    "element",
    "form",
    "id",
    "n",
    "path",
    "referrer",
    "share"
  ],
  "type": "object"
}`), string(got.Schema)); diff != "" {
		t.Error(diff)
	}
	var evidence []string
	for _, e := range got.Evidence {
		evidence = append(evidence, fmt.Sprintf("%s %s %d/%d -%d", e.Pointer, e.Statement, e.Seen, e.Of, e.Exceptions))
	}
	text := strings.Join(evidence, "\n")
	for _, line := range []string{
		" type: object 60/60 -0", "/properties/path required 60/60 -0", "/properties/host optional 58/60 -2", "/properties/host type: string 58/58 -0",
		"/properties/referrer format: uri 59/59 -0", "/properties/element enum: 3 values 60/60 -0", "/properties/form/properties/tags/items type: string 60/60 -0",
	} {
		if !strings.Contains("\n"+text+"\n", "\n"+line+"\n") {
			t.Errorf("the evidence lacks %q:\n%s", line, text)
		}
	}
}

// A few events are not enough evidence for a format or an enum.
func TestProposalOfFewEvents(t *testing.T) {
	var data []string
	for range 10 {
		data = append(data, `{"a":"x","at":"2026-01-01T00:00:00Z"}`, `{"a":"y","at":"2026-01-01T00:00:00Z"}`)
	}
	if got := string(propose(t, data[:19]...).Schema); strings.Contains(got, "format") || strings.Contains(got, "enum") {
		t.Error(got)
	}
	if got := string(propose(t, data...).Schema); !strings.Contains(got, "date-time") || strings.Contains(got, "enum") {
		t.Error(got)
	}
	if got := string(propose(t, append(data, data...)...).Schema); !strings.Contains(got, "enum") {
		t.Error(got)
	}
}

// Values that suggest others, or that still include new ones at the end, do not become an enum.
func TestOpenValuesAreNoEnum(t *testing.T) {
	for name, c := range map[string]struct {
		member string
		values []string
		enum   bool
	}{
		"a state":                 {"state", []string{"open", "closed", "on hold"}, true},
		"paths":                   {"where", []string{"/", "/cart", "/about"}, false},
		"paths by name":           {"path", []string{"home", "cart"}, false},
		"addresses":               {"who", []string{"a@example.com", "b@example.com"}, false},
		"queries":                 {"what", []string{"a=1", "b=2"}, false},
		"numbers":                 {"what", []string{"1001", "1002", "1003"}, false},
		"ids by name":             {"order_id", []string{"alpha", "beta"}, false},
		"ids by name too":         {"orderId", []string{"alpha", "beta"}, false},
		"a grid of plans":         {"plan", []string{"free", "team", "enterprise"}, true},
		"names":                   {"product.name", []string{"lamp", "chair"}, false},
		"addresses of machines":   {"client-ip", []string{"::a", "::b"}, false},
		"hosts":                   {"host", []string{"shop.example", "www.example"}, false},
		"slugs":                   {"articleSlug", []string{"red-lamp", "blue-chair"}, false},
		"articles":                {"SKU", []string{"lamp", "chair"}, false},
		"tokens":                  {"sessionToken", []string{"alpha", "beta"}, false},
		"hashes":                  {"contentHASH", []string{"alpha", "beta"}, false},
		"codes":                   {"coupon_code", []string{"SPRING", "SUMMER"}, false},
		"a name with a number":    {"address2", []string{"alpha", "beta"}, false},
		"several ids":             {"orderIDs", []string{"alpha", "beta"}, false},
		"running numbers":         {"variety", []string{"SKU-0", "SKU-1", "SKU-2", "SKU-3", "SKU-4", "SKU-5", "SKU-6", "SKU-7"}, false},
		"running numbers, longer": {"variety", []string{"no 9 of the row", "no 10 of the row"}, false},
		"one number":              {"variety", []string{"h264", "vp8", "av1"}, true},
		"a word like an open one": {"shape", []string{"round", "square"}, true},
		"currencies":              {"currency", []string{"EUR", "USD"}, true},
		"a word like a id":        {"paid", []string{"yes", "no"}, true},
	} {
		var data []string
		for i := range 60 * len(c.values) {
			data = append(data, fmt.Sprintf(`{%q:%q}`, c.member, c.values[i%len(c.values)]))
		}
		if got := string(propose(t, data...).Schema); strings.Contains(got, "enum") != c.enum {
			t.Errorf("%s: %s", name, got)
		}
	}
	var lists []string
	for i := range 100 {
		lists = append(lists, fmt.Sprintf(`{"skus":[%q],"sizes":[%q]}`, []string{"lamp", "chair"}[i%2], []string{"large", "small"}[i%2]))
	}
	if got := string(propose(t, lists...).Schema); strings.Contains(got, "lamp") || !strings.Contains(got, "large") {
		t.Errorf("items are not judged by the name of their list: %s", got)
	}
	var growing []string
	for range 200 {
		growing = append(growing, `{"state":"open"}`)
	}
	for _, late := range []int{0, 150, 190} { // the last tenth begins at 180
		data := slices.Clone(growing)
		for i := late; i < len(data); i++ {
			data[i] = `{"state":"closed"}`
		}
		data[0] = growing[0]
		if got := string(propose(t, slices.Concat(data[:1], data)...).Schema); strings.Contains(got, "enum") != (late < 180) {
			t.Errorf("new from %d of %d on: %s", late, len(data), got)
		}
	}
}

// Whatever events contain, the schema accepts all that it was derived from.
func TestProposalTakesWhatItWasDrawnFrom(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := drawer{t}
		p, err := schema.NewProposer()
		if err != nil {
			t.Fatal(err)
		}
		var data []any
		kinds := make([]any, 1+d.below(4)) // few kinds, often, so that there is evidence
		for i := range kinds {
			kinds[i] = value(text(object{d.name(): d.any(3), d.name(): d.any(2), "t": oneOf[any](d, "2021-01-01", "a@b.example", "x:y", "https://a.example", 1, nil)}))
		}
		for range 1 + d.below(120) {
			v := oneOf(d, kinds...)
			if d.chance(20) {
				v = value(text(object{d.name(): d.any(3), "t": d.atom()}))
			}
			data = append(data, v)
			p.Add(v)
		}
		if d.chance(20) { // an event that is large under what others require
			v := value(text(object{d.name(): full(d.below(150)), d.name(): object{d.name(): full(d.below(150))}})).(map[string]any)
			v["big"] = slices.Repeat([]any{json.Number("0")}, d.below(20_000))
			data = append(data, v)
			p.Add(v)
		}
		proposal, err := p.Propose()
		if err != nil {
			t.Fatal(err)
		}
		typ, err := schema.Compile("c", "n", 1, proposal.Schema)
		if err != nil {
			t.Fatalf("%v\n%s", err, proposal.Schema)
		}
		for _, v := range data {
			if problems := typ.Check(v); problems != nil {
				t.Fatalf("%s is not taken by\n%s\n%v", text(v), proposal.Schema, problems)
			}
		}
	})
}

// full is an object of n members.
func full(n int) object {
	o := object{}
	for i := range n {
		o[fmt.Sprintf("k%03d", i)] = i
	}
	return o
}

// Statements that many values would have to be checked against are omitted, so that a check does
// not take too long.
func TestProposalOfLargeData(t *testing.T) {
	for name, data := range map[string]object{
		"much is required beside many items":   {"big": make([]int, 20_000), "rec": object{"x": full(99)}},
		"much is required of many items":       {"big": slices.Repeat([]any{full(99)}, 300), "rec": full(99)},
		"a million values, with one step each": {"big": make([]int, 1_000_000), "rec": object{"x": 1}},
	} {
		t.Run(name, func(t *testing.T) {
			text := string(text(data))
			got := propose(t, text)
			typ, err := schema.Compile("c", "n", 1, got.Schema)
			if err != nil {
				t.Fatal(err)
			}
			if problems := typ.Check(schema.Decode([]byte(text))); problems != nil {
				t.Error(problems)
			}
			if !strings.Contains(string(got.Schema), `"rec"`) {
				t.Error("what is cheap is not stated either")
			}
		})
	}
}

// The names of properties may already exceed the size of a schema.
func TestProposalOfLongNames(t *testing.T) {
	for name, letter := range map[string]string{"plain": "n", "that are written longer": "<"} {
		t.Run(name, func(t *testing.T) {
			var data []string
			for i := range 5 {
				o := object{}
				for j := range 99 {
					o[fmt.Sprint(i, j, strings.Repeat(letter, 195))] = 1
				}
				data = append(data, string(text(object{fmt.Sprint("p", i): o})))
			}
			if got := propose(t, data...); got.Events != len(data) {
				t.Errorf("%d events", got.Events)
			}
		})
	}
}

// The limits hold for data that was made to exceed them, and the schema can still be used.
func TestProposalIsBounded(t *testing.T) {
	wide, deep := object{}, any("x")
	for i := range 3000 {
		wide[fmt.Sprintf("%0180d", i)] = object{"v": i}
	}
	for range 60 {
		deep = object{"a": deep}
	}
	p, err := schema.NewProposer()
	if err != nil {
		t.Fatal(err)
	}
	data := []any{wide, deep, object{strings.Repeat("n", 5000): "x"}}
	for i := range 400 {
		texts := object{}
		for j := range 90 {
			texts[fmt.Sprintf("%0150d", j)] = strings.Repeat("ü", 30) + string(rune('a'+i%10))
		}
		data = append(data, object{"texts": texts}, object{"long": strings.Repeat("y", i)})
	}
	for _, v := range data {
		p.Add(value(text(v)))
	}
	if p.Add(map[string]any{"n": json.Number("1e999999")}) {
		t.Error("a number that no schema takes was taken")
	}
	got, err := p.Propose()
	if err != nil {
		t.Fatal(err)
	}
	if got.Events != len(data) || len(got.Evidence) > 2000 {
		t.Errorf("%d events, %d statements", got.Events, len(got.Evidence))
	}
	typ, err := schema.Compile("c", "n", 1, got.Schema)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range data {
		if problems := typ.Check(value(text(v))); problems != nil {
			t.Fatal(problems)
		}
	}
}
