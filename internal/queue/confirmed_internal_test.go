package queue

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func reopened(t *testing.T, dir string) *confirmed {
	t.Helper()
	c, _, err := openConfirmed(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.close() })
	return c
}

func addLine(t *testing.T, c *confirmed, sequence uint64, counts ...Count) {
	t.Helper()
	if err := c.add(sequence, counts); err != nil {
		t.Fatal(err)
	}
}

func lines(t *testing.T, c *confirmed, first, last uint64) (sequences []uint64) {
	t.Helper()
	found, err := c.between(first, last)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range found {
		sequences = append(sequences, e.sequence)
	}
	return sequences
}

// Lines are there again after the end of the process, in whatever order frames were confirmed.
func TestConfirmedIsReadAgain(t *testing.T) {
	dir := t.TempDir()
	c := reopened(t, dir)
	addLine(t, c, 2, Count{"shop", 3, 1})
	addLine(t, c, 1, Count{"shop", 2, 0}, Count{"blog", 1, 1})
	addLine(t, c, 3) // a frame without arrivals
	c = reopened(t, dir)
	addLine(t, c, 9, Count{"blog", 5, 0})
	c = reopened(t, dir)
	totals, last := c.total()
	if diff := cmp.Diff(map[string]Count{"shop": {"shop", 5, 1}, "blog": {"blog", 6, 1}}, totals); diff != "" || last != 9 {
		t.Errorf("last %d, totals (-want +got):\n%s", last, diff)
	}
	if diff := cmp.Diff([]uint64{2, 3, 9}, lines(t, c, 2, 9)); diff != "" {
		t.Error(diff)
	}
}

// Each file begins with the totals of those before it, so that these may go.
func TestConfirmedForgets(t *testing.T) {
	dir := t.TempDir()
	c := reopened(t, dir)
	for n := range uint64(3) {
		addLine(t, c, n+1, Count{"shop", 10, 0})
		totals, _ := c.total()
		if err := c.correct(totals); err != nil { // the next line is in another file
			t.Fatal(err)
		}
	}
	if err := c.forget(2); err != nil {
		t.Fatal(err)
	}
	if left, err := confirmedNumbers(dir); err != nil || len(left) > 2 {
		t.Errorf("files %v, %v", left, err)
	}
	c = reopened(t, dir)
	if totals, last := c.total(); totals["shop"].Received != 30 || last != 3 {
		t.Errorf("totals %v up to %d", totals, last)
	}
	if err := c.forget(100); err != nil {
		t.Fatal(err)
	}
	if totals, _ := reopened(t, dir).total(); totals["shop"].Received != 30 {
		t.Errorf("the totals are gone: %v", totals)
	}
}

// A damaged line counts for nothing and spoils no other, wherever it is damaged or cut.
func TestConfirmedIsDamaged(t *testing.T) {
	dir := t.TempDir()
	c := reopened(t, dir)
	for n := range uint64(4) {
		addLine(t, c, n+1, Count{"shop", 1, 0})
	}
	if err := c.close(); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "confirmed-00000000000000000001")
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	check := func(what string, bad []byte) {
		if err := os.WriteFile(name, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		c := reopened(t, dir)
		if got := lines(t, c, 1, 100); len(got) < 2 && bytes.Count(bad, []byte("\n")) > 3 {
			t.Errorf("%s: only %v are left", what, got)
		}
		for _, e := range lines(t, c, 1, 1<<62) {
			if e < 1 || e > 4 {
				t.Errorf("%s: a line of frame %d that never was", what, e)
			}
		}
		addLine(t, c, 50, Count{"shop", 1, 0})
		if got := lines(t, reopened(t, dir), 50, 50); len(got) != 1 {
			t.Errorf("%s: the next line is not read", what)
		}
		for _, n := range must(confirmedNumbers(dir)) {
			if path := c.path(n); path != name {
				_ = os.Remove(path)
			}
		}
	}
	for i := range whole {
		bad := bytes.Clone(whole)
		bad[i] ^= 8
		check("a changed byte", bad)
		check("cut", whole[:i])
	}
}

func must(numbers []uint64, err error) []uint64 {
	if err != nil {
		panic(err)
	}
	return numbers
}

// Files of the version before have no line of their version. Whatever has another form, and is
// whole, was written by a newer version.
func TestConfirmedOfOtherVersions(t *testing.T) {
	line := func(head string, counts ...Count) string { return string(confirmedLine(head, counts)) }
	old := line("totals", Count{"shop", 5, 0}) + line("7", Count{"shop", 2, 1})
	for name, test := range map[string]struct {
		content string
		want    uint64 // received
		err     error
	}{
		"without a version":    {old, 7, nil},
		"this version":         {line("version 2") + old, 7, nil},
		"a newer version":      {line("version 3") + old, 0, ErrNewer},
		"a newer line":         {old + line("8", Count{"shop", 2, 1}) + line("9 shop 3 1 17"), 0, ErrNewer},
		"a newer word":         {old + line("sums", Count{"shop", 2, 1}), 0, ErrNewer},
		"a newer, damaged":     {"version 3 00000000\n" + old, 7, nil},
		"a damaged line in it": {old + "9 shop 3 1 17 00000000\n", 7, nil},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "confirmed-00000000000000000001"), []byte(test.content), 0o600); err != nil {
			t.Fatal(err)
		}
		c, _, err := openConfirmed(dir)
		if !errors.Is(err, test.err) || (err == nil) != (test.err == nil) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil {
			continue
		}
		if totals, last := c.total(); totals["shop"].Received != test.want || last != 7 {
			t.Errorf("%s: %v up to %d", name, totals, last)
		}
		addLine(t, c, 8, Count{"shop", 1, 0}) // begins another file, in the present form
		c = reopened(t, dir)
		if totals, last := c.total(); totals["shop"].Received != test.want+1 || last != 8 {
			t.Errorf("%s, and one more: %v up to %d", name, totals, last)
		}
		if b, err := os.ReadFile(filepath.Join(dir, "confirmed-00000000000000000002")); err != nil || !bytes.HasPrefix(b, []byte("version 2 ")) {
			t.Errorf("%s: the new file is %s, %v", name, b, err)
		}
	}
}

// A file that cannot be read is refused with what to do.
func TestConfirmedThatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "confirmed-00000000000000000001"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, _, err := openConfirmed(dir); err == nil || !strings.Contains(err.Error(), "make it readable") {
		t.Errorf("got %v", err)
	}
	if err := unreadable("file", syscall.EIO); !strings.Contains(err.Error(), "copy the data directory") {
		t.Errorf("got %v", err)
	}
}
