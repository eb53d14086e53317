package jsonx_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"theeye/internal/jsonx"
)

func TestLocate(t *testing.T) {
	const body = "{\n  \"name\": \"é\", \"data\" : {\"a\":[1,{\"b\":2}],\n\"x/y\":{}}}"
	at := func(text string) *jsonx.Place {
		offset := strings.Index(body, text)
		line := strings.LastIndexByte(body[:offset], '\n') + 1
		return &jsonx.Place{Offset: offset, Line: 1 + strings.Count(body[:offset], "\n"), Column: 1 + len([]rune(body[line:offset]))}
	}
	for pointer, want := range map[string]*jsonx.Place{
		"/name":       at(`"name"`),
		"/data":       at(`"data"`),
		"/data/a/0":   at(`1,`),
		"/data/a/1":   at(`{"b"`),
		"/data/a/1/b": at(`"b"`),
		"/data/a/7":   at(`"a"`), // the nearest existing parent
		"/data/miss":  at(`"data"`),
		"/data/x~1y":  at(`"x/y"`),
		"/dat":        nil,
		"/missing":    nil,
		"":            nil,
	} {
		if diff := cmp.Diff(want, jsonx.Locate([]byte(body), []string{"/none", pointer})[1]); diff != "" {
			t.Errorf("%q (-want +got):\n%s", pointer, diff)
		}
	}
	if at := jsonx.Locate([]byte(`{"a":{"b":`), []string{"/a/b"})[0]; at == nil || at.Offset != 6 {
		t.Errorf("what breaks off behind it: %+v", at)
	}
}

func FuzzLocate(f *testing.F) {
	f.Add([]byte(`{"a":[{"b":1}]}`), "/a/0/b")
	f.Add([]byte("{\"a\":\"\xff\""), "/a")
	f.Fuzz(func(t *testing.T, text []byte, pointer string) {
		for _, at := range jsonx.Locate(text, []string{pointer}) {
			if at != nil && (at.Offset < 0 || at.Offset > len(text) || at.Line < 1 || at.Column < 1) {
				t.Errorf("%+v", at)
			}
		}
	})
}
