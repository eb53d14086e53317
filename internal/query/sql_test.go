package query_test

import (
	"flag"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"theeye/internal/event"
	"theeye/internal/query"
)

// Each file of testdata/sql contains a query in the section "query" (a kind, then one parameter per
// line) and its rendering in each dialect. go test -update rewrites the sections of the dialects.
func TestSQL(t *testing.T) {
	update := flag.Lookup("update").Value.String() == "true"
	dialects := map[string]query.Dialect{"duckdb": query.DuckDB{}}
	files, err := filepath.Glob("testdata/sql/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			kind, q := readQuery(t, string(archive.Files[0].Data))
			for name, dialect := range dialects {
				got := renderSQL(dialect, kind, q)
				if update {
					archive.Files = append(archive.Files[:1], txtar.File{Name: name, Data: []byte(got)})
					continue
				}
				want := "(missing)"
				for _, section := range archive.Files[1:] {
					if section.Name == name {
						want = string(section.Data)
					}
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s (-want +got):\n%s", name, diff)
				}
			}
			if update {
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func readQuery(t *testing.T, section string) (query.Kind, query.Query) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(section), "\n")
	kind := map[string]query.Kind{
		"events": query.Events, "sessions": query.Sessions, "rejections": query.Rejections,
	}[lines[0]]
	values := url.Values{}
	var resume bool
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, "=")
		if name == "after" {
			resume = true
			continue
		}
		values.Add(name, value)
	}
	q, err := query.Parse(values, kind, time.UTC, query.OrderParam, query.LimitParam)
	if err != nil {
		t.Fatal(err)
	}
	if resume {
		q.After = &query.After{Key: event.Key{OccurredAt: 1_600_000_000_000_000, Seq: 4, Position: event.Position{Frame: 17, Index: 3}}}
		q.Horizon = 99
	}
	return kind, q
}

func renderSQL(d query.Dialect, kind query.Kind, q query.Query) string {
	text := "SELECT id FROM events"
	if kind == query.Rejections {
		text = "SELECT id FROM rejections"
	}
	var bound query.Args
	conditions := query.Conditions(d, kind, q, &bound)
	if after := query.AfterCondition(kind, q, &bound); after != "" {
		conditions = append(conditions, after)
	}
	if len(conditions) > 0 {
		text += " WHERE " + strings.Join(conditions, " AND ")
	}
	sql, args := bound.Number(text + " ORDER BY " + strings.Join(query.Order(kind, q.Descending), ", "))
	var out strings.Builder
	out.WriteString(strings.NewReplacer(" WHERE ", "\nWHERE ", " AND ", "\n  AND ", " ORDER BY ", "\nORDER BY ",
		" THEN ", "\n  THEN ", " ELSE ", "\n  ELSE ").Replace(sql))
	out.WriteByte('\n')
	for i, arg := range args {
		fmt.Fprintf(&out, "$%d = %#v\n", i+1, arg)
	}
	return out.String()
}

// Nothing that a user writes may become part of the SQL text.
func TestSQLBindsEverything(t *testing.T) {
	const marker = "x'x"
	for _, where := range []string{
		"data." + marker + "=1", "data.a=" + marker, "data.a~" + marker, "data.a<" + marker, "data.a!=" + marker,
		`data."` + marker + `".b="` + marker + `"`, "session_id=" + marker, "sender~" + marker,
	} {
		values := url.Values{"where": {where}, "app": {marker}, "session_id": {marker}, "category": {marker}, "name": {marker}}
		q, err := query.Parse(values, query.Events, time.UTC)
		if err != nil {
			t.Fatalf("%s: %v", where, err)
		}
		var args query.Args
		sql, _ := args.Number(strings.Join(query.Conditions(query.DuckDB{}, query.Events, q, &args), " AND "))
		if strings.Contains(sql, marker) {
			t.Errorf("%s is in the text: %s", where, sql)
		}
	}
}
