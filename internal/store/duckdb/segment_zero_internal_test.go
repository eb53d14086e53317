package duckdb

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// TestFilesHoldNothingOfFreedMemory: DuckDB writes whole blocks, and leaves what its memory happens
// to hold in the parts of a block that no value fills (duckdb issue 23382). What was freed must not
// come back there, or a segment could hold text that was erased; neither may a block of another
// file that was read before, when memory is short and its buffer is used again.
func TestFilesHoldNothingOfFreedMemory(t *testing.T) {
	t.Run("dropped", func(t *testing.T) {
		testResidue(t, 1<<30, 10,
			"CREATE OR REPLACE TABLE gone AS SELECT i, repeat('ERASED-' || i, 1 + i % 9) AS text FROM range(20000) r(i)",
			"SELECT count(DISTINCT text), max(text) FROM gone",
			"DROP TABLE gone")
	})
	t.Run("read under pressure", func(t *testing.T) {
		testResidue(t, 24<<20, 10, "SELECT max(text), count(*) FROM old.erased")
	})
}

// testResidue writes files after statements that had erased text in memory.
func testResidue(t *testing.T, memory int64, rounds int, before ...string) {
	ctx := t.Context()
	dir := t.TempDir()
	in, err := openInstance(ctx, limits{memory: memory, threads: 1, dirs: []string{dir}, conns: 2, tempDir: filepath.Join(dir, "tmp")})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.close() }()
	do := func(statements ...string) {
		t.Helper()
		for _, statement := range statements {
			if err := in.exec(ctx, statement); err != nil {
				t.Fatalf("%s: %v", statement, err)
			}
		}
	}
	found, files := 0, 0
	for _, block := range []int{smallBlock, largeBlock} {
		old := quoted(filepath.Join(dir, fmt.Sprintf("old-%d.duckdb", block)))
		do(fmt.Sprintf("ATTACH %s AS old (BLOCK_SIZE %d)", old, block),
			"CREATE TABLE old.erased(text TEXT USING COMPRESSION uncompressed)",
			"INSERT INTO old.erased SELECT 'ERASED-' || md5(i::TEXT) || md5((i * 7)::TEXT) FROM range(400000) r(i)",
			"DETACH old", "ATTACH "+old+" AS old (READ_ONLY)")
		for round := range rounds {
			name := filepath.Join(dir, fmt.Sprintf("%d-%d.duckdb", round, block))
			do(fmt.Sprintf("ATTACH %s AS w (BLOCK_SIZE %d)", quoted(name), blockSize(int64(round)*largeRows/10, []int{block})))
			for table := range 5 {
				do(before...)
				write := func() error {
					return in.exec(ctx, fmt.Sprintf("CREATE TABLE w.kept_%d AS SELECT i, md5(i::TEXT) || md5((i+1)::TEXT) AS a, 'x' || (i %% 17) AS b, "+
						"'https://example.org/path/' || (i * 7919) AS c FROM range(%d) r(i)", table, 50+150*(5*round+table)))
				}
				if err := zeroed(write); err != nil {
					t.Fatal(err)
				}
			}
			if err := zeroed(func() error { return in.exec(ctx, "CHECKPOINT w") }); err != nil {
				t.Fatal(err)
			}
			do("DETACH w")
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			files++
			if bytes.Contains(b, []byte("ERASED")) {
				found++
			}
		}
		do("DETACH old")
	}
	if found > 0 {
		t.Errorf("%d of %d files hold text that is in none of their rows", found, files)
	}
}

func TestBlockSize(t *testing.T) {
	for _, c := range []struct {
		rows   int64
		inputs []int
		want   int
	}{
		{0, nil, smallBlock},
		{largeRows, nil, largeBlock},
		{largeRows, []int{smallBlock, smallBlock, smallBlock, smallBlock}, largeBlock},
		{largeRows, []int{largeBlock}, largeBlock / 2},
		{0, []int{smallBlock}, 2 * smallBlock},
		{largeRows, []int{largeBlock, largeBlock / 2, smallBlock, largeBlock / 4}, 2 * smallBlock},
	} {
		if got := blockSize(c.rows, c.inputs); got != c.want {
			t.Errorf("%d rows of files with blocks of %v bytes: %d, want %d", c.rows, c.inputs, got, c.want)
		}
	}
}
