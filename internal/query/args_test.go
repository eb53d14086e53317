package query_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"theeye/internal/query"
)

func TestArgs(t *testing.T) {
	var a query.Args
	first, unused, second := a.Bind(1), a.Bind("unused"), a.Bind("$1 '")
	_ = unused
	list, none := a.In("c", 3, 4), a.In("c")
	text, args := a.Number("SELECT '$' WHERE b = " + second + " AND a = " + first + " AND " + list + " OR b = " + second + " OR " + none)
	if want := "SELECT '$' WHERE b = $1 AND a = $2 AND c IN ($3, $4) OR b = $5 OR FALSE"; text != want {
		t.Error(text)
	}
	if diff := cmp.Diff([]any{"$1 '", 1, 3, 4, "$1 '"}, args); diff != "" {
		t.Error(diff)
	}
}
