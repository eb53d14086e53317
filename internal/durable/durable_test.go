package durable_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"theeye/internal/durable"
)

// After a failure the file of before is there, and nothing is left of the new one.
func TestReplace(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	for _, text := range []string{"first", "second"} {
		if err := durable.Replace(name, strings.NewReader(text)); err != nil {
			t.Fatal(err)
		}
	}
	broken := errors.New("broken")
	err := durable.Replace(name, io.MultiReader(strings.NewReader("thi"), iotest.ErrReader(broken)))
	if !errors.Is(err, broken) || errors.Is(err, durable.ErrUncertain) {
		t.Errorf("got %v", err)
	}
	if b, err := os.ReadFile(name); err != nil || string(b) != "second" {
		t.Errorf("the file holds %q, %v", b, err)
	}
	entries, err := os.ReadDir(filepath.Dir(name))
	if err != nil || len(entries) != 1 {
		t.Errorf("left are %v, %v", entries, err)
	}
	if info, err := os.Stat(name); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if err := durable.Replace(filepath.Join(name, "below"), strings.NewReader("")); err == nil {
		t.Error("a file was put below a file")
	}
}
