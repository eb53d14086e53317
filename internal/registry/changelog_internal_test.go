package registry

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"testing"

	"theeye/internal/durable"
	"theeye/internal/envelope"
)

func logOf(t *testing.T, records ...logRecord) (lines []byte, ends []int) {
	t.Helper()
	for _, rec := range records {
		var err error
		if lines, err = logLine(lines, rec); err != nil {
			t.Fatal(err)
		}
		ends = append(ends, len(lines))
	}
	return lines, ends
}

// Whatever a power cut leaves of a log, the lines that are whole count, and nothing else does.
func TestLogThatIsCutAnywhere(t *testing.T) {
	lines, ends := logOf(t, logRecord{"key.a", 1, []byte(`{"n":1}`)}, logRecord{"key.a", 2, []byte(`{"n":2}`)},
		logRecord{"key.b", 3, []byte(`{"n":3}`)}, logRecord{"key.a", 4, nil})
	want := []map[string]fileRecord{
		{"app": {9, []byte(`{}`)}},
		{"app": {9, []byte(`{}`)}, "key.a": {1, []byte(`{"n":1}`)}},
		{"app": {9, []byte(`{}`)}, "key.a": {2, []byte(`{"n":2}`)}},
		{"app": {9, []byte(`{}`)}, "key.a": {2, []byte(`{"n":2}`)}, "key.b": {3, []byte(`{"n":3}`)}},
		{"app": {9, []byte(`{}`)}, "key.b": {3, []byte(`{"n":3}`)}},
	}
	whole := 0
	for cut := range len(lines) + 1 {
		if whole < len(ends) && cut == ends[whole] {
			whole++
		}
		for name, rest := range map[string][]byte{"cut": nil, "zeros": make([]byte, 20), "a lost page": []byte("\x00\x00\n")} {
			f := metadataFile{Records: map[string]fileRecord{"app": {9, []byte(`{}`)}}}
			if err := f.applyLog(append(bytes.Clone(lines[:cut]), rest...)); err != nil {
				t.Fatalf("at byte %d, %s: %v", cut, name, err)
			}
			if got, want := fmt.Sprint(f.Records), fmt.Sprint(want[whole]); got != want {
				t.Fatalf("at byte %d, %s: got %s, want %s", cut, name, got, want)
			}
			if clean := rest == nil && (whole == 0 && cut == 0 || whole > 0 && cut == ends[whole-1]); f.torn == clean {
				t.Fatalf("at byte %d, %s: torn is %v", cut, name, f.torn)
			}
		}
	}
}

func TestLogThatIsDamaged(t *testing.T) {
	lines, ends := logOf(t, logRecord{"key.a", 1, []byte(`{"n":1}`)}, logRecord{"key.a", 2, []byte(`{"n":2}`)})
	for at := range ends[0] - 1 { // without the line feed: that makes two lines one, the last
		flipped := bytes.Clone(lines)
		flipped[at] ^= 1
		f := metadataFile{Records: map[string]fileRecord{}}
		if err := f.applyLog(flipped); !errors.Is(err, envelope.ErrDamaged) {
			t.Errorf("byte %d flipped: %v", at, err)
		}
	}
	text := []byte(`{"record":"key.a","revision":1,"value":{},"until":5}`)
	f := metadataFile{Records: map[string]fileRecord{}}
	if err := f.applyLog(fmt.Appendf(nil, "%08x %s\n", durable.Checksum(text), text)); !errors.Is(err, envelope.ErrNewer) {
		t.Errorf("of a newer version: %v", err)
	}
}

// holding returns a registry, without a server, that holds so many keys.
func holding(keys int) *Registry {
	r := &Registry{log: slog.New(slog.DiscardHandler), unsaved: map[string]struct{}{}, dirty: make(chan struct{}, 1)}
	r.current.Store(newSnapshot())
	records := map[string]record{}
	for i := range keys {
		records[digestOf(fmt.Sprint(i)).record()] = keyOf(i, 1)
	}
	r.apply(records)
	r.takeUnsaved()
	return r
}

func keyOf(i int, revision uint64) record {
	return record{fmt.Appendf(nil, `{"key_id":"key_%d","app":"","kind":"read","created_at":"2026-11-29T13:00:00Z","revoked_at":null,"app_id":""}`, i), revision}
}

// allocated returns how many bytes a call allocates.
func allocated(call func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	call()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// What a change costs does not grow with the metadata, and what is no news costs nothing.
func TestAChangeCopiesLittle(t *testing.T) {
	cost := func(keys int) uint64 {
		r := holding(keys)
		return allocated(func() {
			for i := range 100 {
				r.apply(map[string]record{digestOf(fmt.Sprint("new ", i)).record(): keyOf(keys+i, 1)})
			}
		})
	}
	if few, many := cost(100), cost(40_000); many > 20*few {
		t.Errorf("100 changes allocate %d bytes with 100 keys, %d with 40,000", few, many)
	}
	r := holding(100)
	before := r.current.Load()
	r.apply(map[string]record{digestOf("7").record(): keyOf(7, 1)})
	if r.current.Load() != before || len(r.takeUnsaved()) > 0 {
		t.Error("a record that was known made another snapshot")
	}
}
