package replay

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"

	"theeye/internal/durable"
	"theeye/internal/envelope"
	"theeye/internal/event"
)

// journal keeps the statuses of replays that are not dry runs, each in a file, so that an
// interrupted replay continues where it was. The file is replaced after each page.
type journal struct{ dir string }

const journalSuffix = ".json"

func (j journal) path(id uuid.UUID) string { return filepath.Join(j.dir, id.String()+journalSuffix) }

const (
	journalVersion = 1
	journalMember  = "replay" // of the envelope
)

// read returns the statuses, oldest first. For a file that is damaged or that a newer version
// wrote, it returns a status that says so. The file is left unchanged, and its replay does not
// continue.
func (j journal) read() (list []Status, unusable map[uuid.UUID]error, err error) {
	if err := durable.MkdirAll(j.dir, 0o700); err != nil {
		return nil, nil, fmt.Errorf("make the folder of replays: %w", err)
	}
	entries, err := os.ReadDir(j.dir) // by name, and ids are made in the order of time
	if err != nil {
		return nil, nil, fmt.Errorf("read the folder of replays: %w", err)
	}
	unusable = map[uuid.UUID]error{}
	for _, entry := range entries {
		if isUnfinished(entry.Name()) {
			if err := os.Remove(filepath.Join(j.dir, entry.Name())); err != nil {
				return nil, nil, fmt.Errorf("remove what is left of a replay: %w", err)
			}
		}
		name, ok := strings.CutSuffix(entry.Name(), journalSuffix)
		id, err := uuid.Parse(name)
		if !ok || err != nil || j.path(id) != filepath.Join(j.dir, entry.Name()) {
			continue // not one of ours
		}
		status, err := j.readOne(id)
		switch {
		case errors.Is(err, envelope.ErrDamaged), errors.Is(err, envelope.ErrNewer):
			unusable[id] = err
		case err != nil:
			return nil, nil, fmt.Errorf("read the replay %s: %w; make the file readable, or delete it to forget the replay", j.path(id), err)
		}
		list = append(list, status)
	}
	slices.SortStableFunc(list, func(a, b Status) int { return cmp.Compare(a.StartedAt, b.StartedAt) })
	return list, unusable, nil
}

// readOne reads a file. With envelope.ErrDamaged and envelope.ErrNewer the status is one that has
// failed.
func (j journal) readOne(id uuid.UUID) (Status, error) {
	b, err := os.ReadFile(j.path(id))
	if errors.Is(err, syscall.EIO) {
		err = fmt.Errorf("%w: %w", envelope.ErrDamaged, err)
	}
	var status Status
	if err == nil {
		status, err = parseStatus(b)
	}
	if err == nil && status.ID != id {
		err = fmt.Errorf("%w: it is that of another replay", envelope.ErrDamaged)
	}
	if err == nil {
		return status, nil
	}
	status = Status{ID: id, State: Failed, Error: "its file cannot be used and was not changed: " + err.Error() +
		"; start the replay again; what it has done is skipped"}
	if info, err := os.Stat(j.path(id)); err == nil {
		status.StartedAt = event.Micros(info.ModTime().UnixMicro())
		status.FinishedAt = status.StartedAt
	}
	return status, err
}

// parseStatus reads the content of a file. Before version 1 it had no envelope.
func parseStatus(b []byte) (s Status, err error) {
	_, text, err := envelope.Open(b, journalMember, 0, journalVersion)
	if err != nil {
		return s, err
	}
	if text == nil {
		text = b
	}
	if err := envelope.Decode(text, &s); err != nil {
		return s, err
	}
	switch s.State {
	case Running, Done, Failed, Cancelled:
		return s, nil
	}
	return s, fmt.Errorf("the state %.40q: %w", s.State, envelope.ErrNewer)
}

// isUnfinished reports whether a name is that of a status that was being written.
func isUnfinished(name string) bool {
	id, ok := strings.CutSuffix(name, journalSuffix+".tmp")
	return ok && uuid.Validate(id) == nil
}

// write writes a status durably and atomically. It omits the request of a replay that has ended, so
// that no session or value is in the file that an erasure would have to remove.
func (j journal) write(s Status) error {
	if s.State != Running {
		s.Request = Request{DryRun: s.DryRun}
		s.After = nil
	}
	b, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("record a replay: %w", err)
	}
	if err := durable.Replace(j.path(s.ID), bytes.NewReader(envelope.Seal(journalVersion, journalMember, b))); err != nil {
		return fmt.Errorf("record a replay: %w", err)
	}
	return nil
}

// remove deletes the file of a replay.
func (j journal) remove(id uuid.UUID) error {
	if err := os.Remove(j.path(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
