package duckdb

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/duckdb/duckdb-go/v2"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"theeye/internal/envelope"
)

// Break closes the instance under a store, after which it refuses all work as it
// does after a fatal error.
func Break(s *Store) {
	_ = s.writer.Close()
	_ = s.reading.close()
}

// Reseal returns a manifest's file with another version and a replacement in the manifest, and
// with the digest of that.
func Reseal(file []byte, version int, from, to string) []byte {
	var e struct {
		Manifest jsontext.Value `json:"manifest"`
	}
	if err := json.Unmarshal(file, &e); err != nil {
		panic(err)
	}
	return envelope.Seal(version, manifestMember, bytes.Replace(e.Manifest, []byte(from), []byte(to), 1))
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
