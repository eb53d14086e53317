package duckdb

import (
	"context"
	"testing"
)

// Whatever SQL would reach the database, it reaches nothing outside it and
// changes no setting.
func TestNothingOutsideIsReached(t *testing.T) {
	dir := t.TempDir() + "/it's here"
	s, err := Open(t.Context(), Options{TempDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, statement := range []string{
		"SELECT * FROM read_text('/etc/hostname')",
		"COPY events_1 TO '" + t.TempDir() + "/events.csv'",
		"ATTACH '" + t.TempDir() + "/other.duckdb' AS other",
		"INSTALL httpfs",
		"LOAD httpfs",
		"SET enable_external_access = true",
		"SET memory_limit = '64GB'",
		"SET lock_configuration = false",
	} {
		if err := s.exec(context.Background(), statement); err == nil {
			t.Errorf("%s: was done", statement)
		}
	}
	var got string
	if err := s.reading.db.QueryRowContext(t.Context(), "SELECT current_setting('temp_directory')").Scan(&got); err != nil || got != dir {
		t.Errorf("temp_directory is %q, %v", got, err)
	}
}
