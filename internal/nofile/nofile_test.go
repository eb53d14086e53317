package nofile_test

import (
	"errors"
	"os"
	"testing"

	"theeye/internal/nofile"
)

// Opening files uses up what is free, and closing them gives it back.
func TestCount(t *testing.T) {
	before, err := nofile.InUse()
	if err != nil || before < 3 {
		t.Fatalf("%d descriptors are open, %v; want standard input, output and error at least", before, err)
	}
	const files = 20
	free := nofile.Limit() - before
	if err := nofile.Need(free - files); err != nil {
		t.Errorf("%d of %d descriptors are not free: %v", free-files, free, err)
	}
	if err := nofile.Need(free + files); !errors.Is(err, nofile.ErrShort) {
		t.Errorf("%d descriptors are free, and %d are promised: %v", free, free+files, err)
	}
	var open []*os.File
	for range files {
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, f)
	}
	if now, err := nofile.InUse(); err != nil || now < before+files {
		t.Errorf("%d descriptors are open after %d files were opened, %d before, %v", now, files, before, err)
	}
	for _, f := range open {
		_ = f.Close()
	}
	if now, err := nofile.InUse(); err != nil || now >= before+files {
		t.Errorf("%d descriptors are open after all files were closed, %d before, %v", now, before, err)
	}
}
