package duckdb

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/go-json-experiment/json"

	"theeye/internal/durable"
)

// intentName is the file that lists the files being written.
const intentName = "INTENT"

// intents are the files that get their names before a manifest has them. A start deletes them
// unless a manifest names them, and no other file that it does not know. The zero value with a
// folder is ready.
type intents struct {
	dir string

	mu    sync.Mutex // guards names and the file
	names map[string]bool
}

// begin notes files that are about to be named. It is durable when begin returns.
func (i *intents) begin(names ...string) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.names == nil {
		i.names = map[string]bool{}
	}
	for _, name := range names {
		i.names[name] = true
	}
	return i.writeLocked()
}

// end notes that a manifest names the files, or that they are gone. A file that stays noted after
// an error is deleted at startup only if no manifest names it.
func (i *intents) end(names ...string) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	known := len(i.names)
	for _, name := range names {
		delete(i.names, name)
	}
	if len(i.names) == known {
		return nil
	}
	return i.writeLocked()
}

// list returns the files that are noted.
func (i *intents) list() map[string]bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	names := map[string]bool{}
	maps.Copy(names, i.names)
	return names
}

func (i *intents) writeLocked() error {
	path := filepath.Join(i.dir, intentName)
	if len(i.names) == 0 {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("clear the intent: %w", err)
		}
		return nil
	}
	b, err := json.Marshal(slices.Sorted(maps.Keys(i.names)))
	if err == nil {
		err = durable.Replace(path, bytes.NewReader(b))
	}
	if err != nil {
		return fmt.Errorf("write the intent: %w", err)
	}
	return nil
}

// readIntent returns the files that were being written when the store's process ended. An intent
// that cannot be read lists none, so that nothing is deleted.
func readIntent(dir string) (names []string) {
	b, err := os.ReadFile(filepath.Join(dir, intentName))
	if err != nil || json.Unmarshal(b, &names) != nil {
		return nil
	}
	return slices.DeleteFunc(names, func(name string) bool { return !isSegmentFile(name) })
}

// isSegmentFile reports whether a name has the form of a segment's files.
func isSegmentFile(name string) bool {
	_, ok := segmentID(name)
	return ok
}

// segmentID returns the id in the name of a segment's file.
func segmentID(name string) (id uint64, ok bool) {
	rest, ok := strings.CutPrefix(name, "seg-")
	if !ok || strings.ContainsRune(name, filepath.Separator) {
		return 0, false
	}
	digits, ending, _ := strings.Cut(rest, ".")
	if _, err := fmt.Sscanf(digits, "%d", &id); err != nil || ending != "duckdb" && ending != "filter" {
		return 0, false
	}
	return id, true
}
