package cli

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"theeye/internal/envelope"
)

// A restore fails if this version cannot open the result.
func TestCheckMetadata(t *testing.T) {
	for name, test := range map[string]struct {
		file, content string
		err           error
	}{
		"none":              {"other", "", nil},
		"metadata":          {"metadata.json", `{"version":1,"revision":1,"records":{}}`, nil},
		"newer metadata":    {"metadata.json", string(envelope.Seal(4, "metadata", []byte(`{}`))), envelope.ErrNewer},
		"damaged metadata":  {"metadata.json", `{"version":2}`, envelope.ErrDamaged},
		"an empty trail":    {"audit.ndjson", "", nil},
		"an entry too much": {"audit.ndjson", `{"id":"0198a000-0000-7000-8000-000000000001","act":"a","more":1}` + "\n", envelope.ErrNewer},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, test.file), []byte(test.content), 0o600); err != nil {
			t.Fatal(err)
		}
		err := checkMetadata(dir)
		if !errors.Is(err, test.err) || (err == nil) != (test.err == nil) || err != nil && !strings.Contains(err.Error(), test.file) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
