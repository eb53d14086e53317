package duckdb

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"theeye/internal/query"
)

// What is spilled cannot be read from the files: an erasure does not reach it.
func TestSpilledTextIsEncrypted(t *testing.T) {
	s, err := Open(t.Context(), Options{Dir: t.TempDir(), MemoryLimit: 32 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	e, err := s.beginExport(t.Context(), query.Query{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.close()
	for name, in := range map[string]*instance{"reading": s.reading, "exporting": e.in} {
		const text = "what was erased"
		if err := in.exec(t.Context(), "CREATE TABLE spilled AS SELECT '"+text+"' || repeat(hash(i)::VARCHAR, 10) AS t FROM range(300000) r(i)"); err != nil {
			t.Fatal(name, err)
		}
		var folder string
		if err := in.db.QueryRowContext(t.Context(), "SELECT current_setting('temp_directory')").Scan(&folder); err != nil {
			t.Fatal(name, err)
		}
		files, err := filepath.Glob(filepath.Join(folder, "*.tmp"))
		if err != nil || len(files) == 0 {
			t.Errorf("%s: nothing was spilled, %v", name, err)
		}
		for _, file := range files {
			if b, err := os.ReadFile(file); err != nil || bytes.Contains(b, []byte(text)) {
				t.Errorf("%s: the text is in %s, %v", name, file, err)
			}
		}
		var n int
		if err := in.db.QueryRowContext(t.Context(), "SELECT count(*) FROM spilled WHERE t LIKE '"+text+"%'").Scan(&n); err != nil || n != 300_000 {
			t.Errorf("%s: %d rows come back, %v", name, n, err)
		}
		if err := in.exec(t.Context(), "DROP TABLE spilled"); err != nil {
			t.Fatal(name, err)
		}
	}
}

// DuckDB names the files that it spills to by number alone: two instances that
// spill into one folder overwrite each other's, and the process dies.
func TestInstancesSpillApart(t *testing.T) {
	s, err := Open(t.Context(), Options{Dir: t.TempDir(), MemoryLimit: 256 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	merger, err := s.merger.begin(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	instances := []*instance{merger}
	for range MaxExports {
		e, err := s.beginExport(t.Context(), query.Query{})
		if err != nil {
			t.Fatal(err)
		}
		defer e.close()
		instances = append(instances, e.in)
	}
	const rows = 2_000_000 // more than two of these instances hold in memory
	for i, in := range instances {
		if err := in.exec(t.Context(), fmt.Sprintf("CREATE TABLE spilled AS SELECT i, hash(i + %d)::VARCHAR AS h FROM range(%d) r(i)", i, rows)); err != nil {
			t.Fatal(err)
		}
	}
	folders := map[string]bool{}
	for i, in := range append(instances, s.reading) {
		var folder string
		if err := in.db.QueryRowContext(t.Context(), "SELECT current_setting('temp_directory')").Scan(&folder); err != nil || folders[folder] {
			t.Fatalf("instance %d spills into %q, which is not its own: %v", i, folder, err)
		}
		folders[folder] = true
	}
	for i, in := range instances {
		var n int
		if err := in.db.QueryRowContext(t.Context(), fmt.Sprintf("SELECT count(*) FROM spilled WHERE h = hash(i + %d)::VARCHAR", i)).Scan(&n); err != nil || n != rows {
			t.Errorf("instance %d reads %d rows of %d, %v", i, n, rows, err)
		}
	}
}
