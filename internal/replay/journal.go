package replay

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"

	"theeye/internal/durable"
)

// journal keeps what is known of replays that change something: a file for each, so
// that one that was cut off goes on where it was. It is replaced after each page.
type journal struct{ dir string }

const journalSuffix = ".json"

func (j journal) path(id uuid.UUID) string { return filepath.Join(j.dir, id.String()+journalSuffix) }

// read returns what is kept, oldest first. A file that cannot be read is an error:
// it may tell of a replay that is to go on.
func (j journal) read() ([]Status, error) {
	if err := durable.MkdirAll(j.dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of replays: %w", err)
	}
	entries, err := os.ReadDir(j.dir) // by name, and ids are made in the order of time
	if err != nil {
		return nil, fmt.Errorf("read the folder of replays: %w", err)
	}
	var list []Status
	for _, entry := range entries {
		path := filepath.Join(j.dir, entry.Name())
		if isUnfinished(entry.Name()) {
			if err := os.Remove(path); err != nil {
				return nil, fmt.Errorf("remove what is left of a replay: %w", err)
			}
		}
		if !strings.HasSuffix(entry.Name(), journalSuffix) {
			continue // not one of ours
		}
		b, err := os.ReadFile(path)
		var status Status
		if err == nil {
			err = json.Unmarshal(b, &status)
		}
		if err != nil {
			return nil, fmt.Errorf("read the replay %s: %w; to forget it, remove the file", path, err)
		}
		list = append(list, status)
	}
	slices.SortStableFunc(list, func(a, b Status) int { return int(a.StartedAt - b.StartedAt) })
	return list, nil
}

// isUnfinished reports whether a name is that of a status that was being written.
func isUnfinished(name string) bool {
	id, ok := strings.CutSuffix(name, journalSuffix+".tmp")
	return ok && uuid.Validate(id) == nil
}

// write keeps a status: durably, and as a whole or not at all. Of one that has ended
// no session and no value is kept, so that nothing outlives an erasure here.
func (j journal) write(s Status) error {
	if s.State != Running {
		s.Request = Request{DryRun: s.DryRun}
		s.After = nil
	}
	b, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("write down a replay: %w", err)
	}
	if err := durable.Replace(j.path(s.ID), bytes.NewReader(b)); err != nil {
		return fmt.Errorf("write down a replay: %w", err)
	}
	return nil
}

// remove forgets a replay. One that stays is forgotten later.
func (j journal) remove(id uuid.UUID) {
	if err := os.Remove(j.path(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return
	}
}
