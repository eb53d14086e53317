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

func reopened(t *testing.T, dir string) *confirmedRecord {
	t.Helper()
	c, err := openConfirmed(dir, "", 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.close() })
	return c
}

func addLine(t *testing.T, c *confirmedRecord, sequence uint64, counts ...Count) {
	t.Helper()
	if err := c.add(sequence, counts); err != nil {
		t.Fatal(err)
	}
}

func lines(t *testing.T, c *confirmedRecord, first, last uint64) (sequences []uint64) {
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

// Lines survive the end of the process, in whatever order frames were confirmed.
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

// Each file begins with the totals of the earlier ones, so that those may be removed.
func TestConfirmedForgets(t *testing.T) {
	dir := t.TempDir()
	c := reopened(t, dir)
	for n := range uint64(3) {
		addLine(t, c, n+1, Count{"shop", 10, 0})
		totals, _ := c.total()
		if err := c.setTotals(totals, 0); err != nil { // the next line is in another file
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

// A damaged line is ignored and affects no other, wherever it is damaged or cut off.
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
		if got := lines(t, c, 1, 100); len(got) < 2 && bytes.Count(bad, []byte("\n")) > 6 {
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

// Files of version 1 have no line with a version. An intact line of another form was written by a
// newer version.
func TestConfirmedOfOtherVersions(t *testing.T) {
	line := func(head string, counts ...Count) string { return string(confirmedLine(head, counts)) }
	old := line("totals", Count{"shop", 5, 0}) + line("7", Count{"shop", 2, 1})
	for name, test := range map[string]struct {
		content string
		want    uint64 // received
		err     error
	}{
		"without a version":    {old, 7, nil},
		"this version":         {line("version 3") + line("record R") + old + line("last 7"), 7, nil},
		"the version before":   {line("version 2") + old, 7, nil},
		"a newer version":      {line("version 4") + old, 0, ErrNewer},
		"a newer line":         {old + line("8", Count{"shop", 2, 1}) + line("9 shop 3 1 17"), 0, ErrNewer},
		"a newer word":         {old + line("sums", Count{"shop", 2, 1}), 0, ErrNewer},
		"a newer, damaged":     {"version 4 00000000\n" + old, 7, nil},
		"a damaged line in it": {old + "9 shop 3 1 17 00000000\n", 7, nil},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "confirmed-00000000000000000001"), []byte(test.content), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := openConfirmed(dir, "", 0)
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
		if b, err := os.ReadFile(filepath.Join(dir, "confirmed-00000000000000000002")); err != nil || !bytes.HasPrefix(b, []byte("version 3 ")) {
			t.Errorf("%s: the new file is %s, %v", name, b, err)
		}
	}
}

// For a file that cannot be read, the error says what to do.
func TestConfirmedThatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "confirmed-00000000000000000001"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := openConfirmed(dir, "", 0); err == nil || !strings.Contains(err.Error(), "make it readable") {
		t.Errorf("got %v", err)
	}
	if err := unreadableError("file", syscall.EIO); !strings.Contains(err.Error(), "copy the data directory") {
		t.Errorf("got %v", err)
	}
}

// What a crash or a power failure leaves is not damage: a file that is shorter, cut off within a
// line, or has zeros instead of its last lines. Everything else is.
func TestDamageOfTheRecord(t *testing.T) {
	made := t.TempDir()
	c := reopened(t, made)
	for n := range uint64(6) {
		addLine(t, c, n+1, Count{"shop", 1, 0})
		if n == 2 {
			totals, _ := c.total()
			if err := c.setTotals(totals, 0); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := c.close(); err != nil {
		t.Fatal(err)
	}
	numbers := must(confirmedNumbers(made))
	last := len(numbers) - 1
	var files [][]byte
	for _, n := range numbers {
		b, err := os.ReadFile(c.path(n))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, b)
	}
	zeros := func(b []byte, from, to int) []byte {
		b = bytes.Clone(b)
		clear(b[from:to])
		return b
	}
	size := len(files[last])
	for name, test := range map[string]struct {
		file    int
		content []byte // nil: it is removed
		record  string
		flushed uint64
		want    string // empty: nothing is wrong
	}{
		"as it was":                       {last, files[last], c.id, 6, ""},
		"a line cut off":                  {last, files[last][:size-5], c.id, 5, ""},
		"the last line zero":              {last, zeros(files[last], size-14, size), c.id, 5, ""},
		"zeros at the end":                {last, append(bytes.Clone(files[last]), make([]byte, 3000)...), c.id, 6, ""},
		"two lines gone":                  {last, files[last][:size-34], c.id, 4, ""},
		"cut before what is flushed":      {last, files[last][:size-5], c.id, 6, "it ends with frame 5, and the store has flushed up to frame 6"},
		"zeros before what is flushed":    {last, zeros(files[last], size-14, size), c.id, 6, "it ends with frame 5"},
		"cut to its first lines":          {last, files[last][:bytes.Index(files[last], []byte("last "))], c.id, 0, "its first lines are missing"},
		"empty":                           {last, []byte{}, c.id, 0, "its first lines are missing"},
		"all zeros":                       {last, make([]byte, size), c.id, 0, "its first lines are missing"},
		"zeros in the middle":             {last, zeros(files[last], size-30, size-20), c.id, 0, "does not match"},
		"the beginning zero":              {last, zeros(files[last], 0, 20), c.id, 0, "the checksum of line 1 does not match"},
		"an earlier file cut":             {0, files[0][:len(files[0])-20], c.id, 0, "it ends with frame 2 instead of 3"},
		"an earlier file cut, flushed":    {0, files[0][:len(files[0])-20], c.id, 3, ""},
		"an earlier file, of another one": {0, files[0], "another", 0, "is not the one that the store knows"},
	} {
		dir := t.TempDir()
		for i, n := range numbers {
			b := files[i]
			if i == test.file {
				b = test.content
			}
			if err := os.WriteFile(filepath.Join(dir, filepath.Base(c.path(n))), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		got, err := openConfirmed(dir, test.record, test.flushed)
		if err != nil {
			t.Fatal(err)
		}
		if test.want == "" && got.damage != "" || !strings.Contains(got.damage, test.want) {
			t.Errorf("%s: %q", name, got.damage)
		}
		if got.damage == "" {
			continue
		}
		found, err := got.between(1, 100)
		if err != nil {
			t.Fatal(err)
		}
		totals, _ := got.total()
		if err := got.rewrite(totals, 6, found); err != nil {
			t.Fatal(err)
		}
		addLine(t, got, 7, Count{"shop", 1, 0})
		totals, _ = got.total()
		again, err := openConfirmed(dir, got.id, 6)
		if err != nil {
			t.Fatal(err)
		}
		after, end := again.total()
		if diff := cmp.Diff(totals, after); diff != "" || again.damage != "" || end != 7 || len(lines(t, again, 1, 100)) != len(found)+1 {
			t.Errorf("%s, mended: %q, up to %d, %s", name, again.damage, end, diff)
		}
	}
}

// Before the store flushes a frame, the record reaches it, even if the frame was never
// acknowledged.
func TestTheRecordReachesWhatIsFlushed(t *testing.T) {
	dir := t.TempDir()
	c := reopened(t, dir)
	addLine(t, c, 2, Count{"shop", 1, 0})
	if err := c.extendTo(5); err != nil {
		t.Fatal(err)
	}
	if got, err := openConfirmed(dir, c.id, 5); err != nil || got.damage != "" || got.last != 5 || c.unsynced {
		t.Errorf("%q, up to %d, %v", got.damage, got.last, err)
	}
}

// A record that ends before a trimmed frame is out of date, whatever the store has flushed.
func TestRecordBehindTheQueue(t *testing.T) {
	dir := t.TempDir()
	opts := Options{Dir: filepath.Join(dir, "queue"), ConfirmedDir: filepath.Join(dir, "confirmed")}
	earlier := filepath.Join(dir, "earlier")
	for round, damage := range []string{"", "", "is out of date or damaged: it ends with frame 2, and the queue was trimmed up to frame 4"} {
		q, err := Open(t.Context(), opts)
		if err != nil {
			t.Fatal(err)
		}
		if got := q.ConfirmedDamage(); round > 0 && got != damage {
			t.Errorf("round %d: %q", round, got)
		}
		err = q.Reconcile(t.Context(), 0, nil)
		for range 2 {
			if err == nil {
				_, err = q.Publish(t.Context(), Frame{Counts: []Count{{App: "shop", Received: 1}}, Body: []byte("a")})
			}
		}
		if round == 1 && err == nil {
			err = q.Trim(t.Context(), 4)
		}
		q.Close()
		switch {
		case err != nil:
		case round == 0:
			err = os.CopyFS(earlier, os.DirFS(opts.ConfirmedDir))
		case round == 1:
			err = errors.Join(os.RemoveAll(opts.ConfirmedDir), os.Rename(earlier, opts.ConfirmedDir))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
