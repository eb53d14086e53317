package query_test

import (
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"theeye/internal/event"
	"theeye/internal/query"
)

func someAfter(t *rapid.T) query.After {
	return query.After{
		Key: event.Key{
			OccurredAt: event.Micros(rapid.Int64().Draw(t, "occurred")),
			Seq:        rapid.Int64Range(0, event.NoSeq).Draw(t, "seq"),
			Position:   event.Position{Frame: rapid.Uint64().Draw(t, "frame"), Index: rapid.Uint32().Draw(t, "index")},
		},
		SessionID: strings.ReplaceAll(strings.ToValidUTF8(rapid.StringN(0, 200, 800).Draw(t, "session"), ""), "\x00", ""),
	}
}

func TestCursorContinuesItsList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kind := rapid.SampledFrom([]query.Kind{query.Events, query.Sessions, query.Rejections}).Draw(t, "kind")
		after := someAfter(t)
		horizon := rapid.Uint64Min(1).Draw(t, "horizon")
		q := query.Query{Apps: []string{"b", "a"}, Limit: 7}
		got, err := query.Query{Apps: []string{"a", "b"}, Limit: 9}.Resume(kind, q.Cursor(kind, after, horizon))
		if err != nil {
			t.Fatal(err)
		}
		want := query.Query{Apps: []string{"a", "b"}, Limit: 9, After: &after, Horizon: horizon}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("-want +got:\n%s", diff)
		}
	})
}

func TestCursorOfAnotherList(t *testing.T) {
	at := event.Micros(5)
	made := query.Query{Apps: []string{"a"}}
	cursor := made.Cursor(query.Events, query.After{}, 1)
	for name, q := range map[string]query.Query{
		"all apps":    {},
		"no apps":     {Apps: []string{}},
		"another app": {Apps: []string{"b"}},
		"more apps":   {Apps: []string{"a", "b"}},
		"session":     {Apps: []string{"a"}, SessionIDs: []string{"a"}},
		"category":    {Apps: []string{"a"}, Categories: []string{"a"}},
		"name":        {Apps: []string{"a"}, Names: []string{"a"}},
		"from":        {Apps: []string{"a"}, From: &at},
		"to":          {Apps: []string{"a"}, To: &at},
		"order":       {Apps: []string{"a"}, Descending: true},
		"where":       {Apps: []string{"a"}, Where: []query.Condition{{Field: query.Field{Name: "seq"}, Operator: "=", Value: "1"}}},
	} {
		if _, err := q.Resume(query.Events, cursor); err == nil || !strings.Contains(err.Error(), "other filters") {
			t.Errorf("%s: got %v, want an error about other filters", name, err)
		}
	}
	if _, err := made.Resume(query.Rejections, cursor); err == nil || !strings.Contains(err.Error(), "not a cursor of this list") {
		t.Errorf("another kind: got %v", err)
	}
	if _, err := made.Resume(query.Events, cursor); err != nil {
		t.Errorf("the same list: %v", err)
	}
}

func TestForgedCursor(t *testing.T) {
	q := query.Query{}
	good := q.Cursor(query.Events, query.After{Key: event.Key{OccurredAt: 77}, SessionID: "s"}, 3)
	raw, err := base64.RawURLEncoding.DecodeString(good)
	if err != nil {
		t.Fatal(err)
	}
	for i := range len(raw) * 8 {
		forged := append([]byte(nil), raw...)
		forged[i/8] ^= 1 << (i % 8)
		if _, err := q.Resume(query.Events, base64.RawURLEncoding.EncodeToString(forged)); err == nil {
			t.Errorf("bit %d: taken", i)
		}
	}
	for _, text := range []string{good + "\n", good + "=", good[:len(good)-1], " " + good, "AA"} {
		if _, err := q.Resume(query.Events, text); err == nil {
			t.Errorf("%q: taken", text)
		}
	}
}

// Every accepted cursor is one that Cursor returns. The test corrects the checksum, because
// otherwise nothing after it would be tested.
func FuzzCursor(f *testing.F) {
	for _, after := range []query.After{{Key: event.Key{OccurredAt: 1, Seq: event.NoSeq}}, {SessionID: "s"}} {
		raw, err := base64.RawURLEncoding.DecodeString(query.Query{}.Cursor(query.Events, after, 1))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw[:len(raw)-4])
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, body []byte) {
		text := base64.RawURLEncoding.EncodeToString(binary.BigEndian.AppendUint32(body, crc32.ChecksumIEEE(body)))
		q, err := query.Query{}.Resume(query.Events, text)
		if err != nil {
			return
		}
		if got := (query.Query{}).Cursor(query.Events, *q.After, q.Horizon); got != text {
			t.Fatalf("%q is also %q", text, got)
		}
	})
}
