package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"theeye/internal/durable"
	"theeye/internal/envelope"
)

// AuditFile is the file of a data directory from which an audit log is imported once, at startup.
// It has one JSON object per line, the oldest first.
const AuditFile = "audit.ndjson"

// Document returns the whole audit log in the format of AuditFile, for a backup.
func (t *AuditLog) Document(ctx context.Context) ([]byte, error) {
	info, err := t.stream.Info(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the log: %w", err)
	}
	entries, err := t.scan(ctx, max(info.State.FirstSeq, 1), info.State.LastSeq+1)
	if err != nil {
		return nil, err
	}
	var b []byte
	for _, x := range entries {
		line := jsontext.Value(x.data)
		if err := line.Compact(); err != nil {
			return nil, err
		}
		b = append(append(b, line...), '\n')
	}
	return b, nil
}

// CheckAuditFile reports whether this program can use the content of an AuditFile. Errors:
// envelope.ErrNewer, envelope.ErrDamaged.
func CheckAuditFile(b []byte) error {
	_, err := parseAuditFile(b)
	return err
}

func parseAuditFile(b []byte) (entries []Entry, err error) {
	for line := range bytes.Lines(b) {
		var e Entry
		err := envelope.Decode(line, &e)
		if err == nil && (e.ID == uuid.Nil || e.Act == "") {
			err = fmt.Errorf("%w: it has no id or no act", envelope.ErrDamaged)
		}
		if err != nil {
			return nil, fmt.Errorf("entry %d: %w", len(entries)+1, err)
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// importFile writes the entries of a file into the stream, and removes the file. An interrupted
// import can be repeated: an entry replaces itself.
func (t *AuditLog) importFile(ctx context.Context, name string) (bool, error) {
	b, err := durable.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	entries, err := parseAuditFile(b)
	if errors.Is(err, envelope.ErrNewer) {
		return false, fmt.Errorf("%s cannot be used: %w", name, err)
	}
	if err != nil {
		return false, fmt.Errorf("%s cannot be read; move it away to begin without it: %w", name, err)
	}
	for _, e := range entries {
		if err := t.write(ctx, e); err != nil {
			return false, err
		}
	}
	if err := os.Remove(name); err != nil {
		return false, err
	}
	return true, durable.SyncDir(filepath.Dir(name))
}

// AppendAuditEntry records an act on a data directory that no server uses.
func AppendAuditEntry(dir string, e Entry) error {
	name := filepath.Join(dir, AuditFile)
	b, err := durable.ReadFile(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	e.First = len(b) == 0
	e, err = serverEntry(e, now())
	if err != nil {
		return err
	}
	line, err := json.Marshal(e, json.Deterministic(true))
	if err != nil {
		return err
	}
	return durable.Replace(name, bytes.NewReader(append(append(b, line...), '\n')))
}
