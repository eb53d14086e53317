package duckdb

import (
	"errors"
	"fmt"
	"testing"

	"github.com/duckdb/duckdb-go/v2"
)

// Break closes the instance under a store, after which it refuses all work as it
// does after a fatal error.
func Break(s *Store) {
	_ = s.writer.Close()
	_ = s.reading.close()
}

func TestIsFatal(t *testing.T) {
	for _, test := range []struct {
		err  error
		want bool
	}{
		{&duckdb.Error{Type: duckdb.ErrorTypeFatal, Msg: "FATAL Error: Failed"}, true},
		{fmt.Errorf("query: %w", &duckdb.Error{Type: duckdb.ErrorTypeFatal}), true},
		{errors.New("append events: FATAL Error: Failed: database has been invalidated because of a previous fatal error. The database must be restarted prior to being used again."), true},
		{&duckdb.Error{Type: duckdb.ErrorTypeIO, Msg: `IO Error: Checkpoint failed for database "w". The database has been invalidated. Original error: no room`}, false},
		{&duckdb.Error{Type: duckdb.ErrorTypeOutOfMemory}, false},
	} {
		if got := isFatal(test.err); got != test.want {
			t.Errorf("%v: %v", test.err, got)
		}
	}
}
