package registry

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"theeye/internal/durable"
	"theeye/internal/envelope"
	"theeye/internal/jsonx"
)

// savedCopy is the copy of the metadata as it was read at startup.
type savedCopy struct {
	metadataFile
	found bool
	err   error
}

// metadataSource says from what the metadata of an incomplete bucket was created.
type metadataSource int

const (
	firstStart metadataSource = iota // nothing: it is a first start
	fromCopy                         // metadata.json
	forgotten                        // nothing: the metadata was given up, see Forgetting
)

// restore fills the bucket from the copy, if there is one. Records that the bucket already has are
// from an interrupted restore, or were left by damage.
func (r *Registry) restore(ctx context.Context, c savedCopy) (metadataSource, error) {
	f := c.metadataFile
	switch {
	case errors.Is(c.err, envelope.ErrDamaged):
		return firstStart, lostAndDamaged(r.fileName(), c.err)
	case c.err != nil:
		return firstStart, fmt.Errorf("the metadata is lost, and its copy %s cannot be used: %w", r.fileName(), c.err)
	case !c.found:
		return firstStart, nil
	case f.forgotten():
		r.log.Warn("the metadata was given up: the server starts without applications and keys")
		return forgotten, nil
	}
	if err := r.restoreRecords(ctx, f.Records); err != nil {
		return firstStart, err
	}
	if r.auditLog.imported {
		r.log.Info("the metadata was restored from the backup", "file", r.fileName(), "records", len(f.Records))
	} else {
		r.log.Warn("the metadata was lost and has been rebuilt from its copy", "file", r.fileName(), "records", len(f.Records))
	}
	return fromCopy, nil
}

// catchUp restores changes that the bucket has lost from the copy: if the queue's folder was
// replaced by an older one, or blocks of it were damaged, keys that were created since must work,
// and keys that were revoked since must not. A copy that is damaged or belongs to an earlier bucket
// is quarantined and rewritten.
func (r *Registry) catchUp(ctx context.Context, c savedCopy) error {
	f := c.metadataFile
	switch {
	case errors.Is(c.err, envelope.ErrDamaged):
		return r.quarantineCopy("damaged", c.err)
	case c.err != nil:
		return fmt.Errorf("the copy of the metadata %s cannot be used, and nothing was changed: %w", r.fileName(), c.err)
	case !c.found:
		if r.opts.Begun { // otherwise a first start was interrupted
			r.opts.Note(r.missingCopyNote("missing"))
		}
		r.log.Warn("the copy of the metadata was missing; it was rewritten", "file", r.fileName())
		return nil
	}
	s := r.current.Load()
	switch bucket, copied := completeSince(s.record(stateKey).value), completeSince(f.Records[stateKey].Value); {
	case f.forgotten():
		return nil
	case copied.After(bucket):
		return fmt.Errorf("the metadata in the queue began at %s, but its copy %s at a later time, %s; nothing was changed. If the folder queue was replaced by an older one, put the newer one back, "+
			"or move %s away: the metadata is rebuilt from the copy. If the copy belongs to another data directory, move the copy away: it is rebuilt from the queue",
			shownTime(bucket), r.fileName(), shownTime(copied), bucketDir(r.opts.Dir))
	case copied.Before(bucket):
		return r.quarantineCopy("that of earlier metadata, or of another data directory",
			fmt.Errorf("the metadata began at %s, but that of this copy at %s", shownTime(bucket), shownTime(copied)))
	}
	lost := s.lost(f.Records)
	if len(lost) == 0 {
		return nil
	}
	r.log.Warn("the metadata had lost changes and has been brought up to date from its copy", "file", r.fileName(), "records", len(lost))
	r.opts.Note(fmt.Sprintf("the copy of the metadata, %s, had changes that the queue did not have (%d), as after damage to it; they were restored: look at `eye apps list` and `eye keys list`",
		r.fileName(), len(lost)))
	return r.restoreRecords(ctx, lost)
}

// completeSince returns the time since which the bucket of a state record is complete. It
// identifies the bucket.
func completeSince(state []byte) time.Time {
	var s stateRecord
	_ = json.Unmarshal(state, &s) // checked when it was read
	return s.CompleteSince
}

func shownTime(at time.Time) string { return at.UTC().Format(time.RFC3339) }

// quarantineCopy quarantines an unusable metadata.json. It is rewritten from the bucket later.
func (r *Registry) quarantineCopy(what string, why error) error {
	r.opts.Note(r.missingCopyNote(what))
	logs, _ := filepath.Glob(filepath.Join(r.opts.Dir, logPattern)) // the pattern is valid
	for _, log := range logs {
		if _, err := durable.Quarantine(log); err != nil {
			return fmt.Errorf("quarantine the log of the metadata %s: %w", log, err)
		}
	}
	name, err := durable.Quarantine(r.fileName())
	if err != nil {
		return fmt.Errorf("the copy of the metadata %s is %s (%w) and cannot be moved away: %w", r.fileName(), what, why, err)
	}
	r.log.Error("the copy of the metadata was "+what+"; it was quarantined and is rebuilt from the metadata", "file", r.fileName(), "moved_to", name, "error", why)
	return nil
}

// missingCopyNote says what cannot be detected without an intact copy: the queue treats a bucket
// whose end is cut off like one whose last write was interrupted by a crash.
func (r *Registry) missingCopyNote(what string) string {
	return fmt.Sprintf("the copy of the metadata, %s, was %s at startup, and was rebuilt from the queue. If the queue was damaged too, keys that were revoked shortly before may be valid again: look at `eye keys list`", r.fileName(), what)
}

// lost returns the records of a copy that the bucket does not have, or has in an earlier state.
func (s *snapshot) lost(records map[string]fileRecord) map[string]fileRecord {
	lost := map[string]fileRecord{}
	for key, rec := range records {
		if s.lacks(key, rec) {
			lost[key] = rec
		}
	}
	return lost
}

// lacks reports whether the bucket does not have a record of a copy, or has it in an earlier state.
// A record that was removed from the bucket later stays removed, unless the bucket is incomplete.
func (s *snapshot) lacks(key string, rec fileRecord) bool {
	has := s.record(key)
	if has.value == nil && s.record(stateKey).value == nil {
		return true
	}
	return has.revision <= rec.Revision && (has.value == nil || !jsonx.Equal(has.value, rec.Value)) && !revokedHere(key, has.value, rec.Value)
}

// revokedHere reports whether key is the record of a key that is revoked in the bucket but not in
// the copy. A revoked key never becomes valid again.
func revokedHere(key string, has, file []byte) bool {
	if !strings.HasPrefix(key, keyRecords+".") || has == nil {
		return false
	}
	a, err1 := parseKey(has)
	b, err2 := parseKey(file)
	return err1 == nil && err2 == nil && a.RevokedAt != nil && b.RevokedAt == nil
}

// restoreRecords writes those records into the bucket that it lacks.
func (r *Registry) restoreRecords(ctx context.Context, records map[string]fileRecord) error {
	written := map[string]record{}
	for _, key := range slices.Sorted(maps.Keys(records)) { // keys come before their last use
		if key == stateKey { // written last, when the bucket is complete
			continue
		}
		if rec, err := r.restoreRecord(ctx, key, records[key]); err != nil {
			return fmt.Errorf("rebuild metadata: %w", err)
		} else if rec.value != nil {
			written[key] = rec
		}
		if len(written) == maxApply {
			r.apply(written)
			clear(written)
		}
	}
	r.apply(written)
	return nil
}

// restoreRecord writes a record if the bucket lacks it. It returns the record that it has written;
// its value is nil if the bucket did not lack it.
func (r *Registry) restoreRecord(ctx context.Context, key string, rec fileRecord) (record, error) {
	value := rec.Value.Clone()
	if err := value.Compact(); err != nil {
		return record{}, fmt.Errorf("the record %s: %w", key, err)
	}
	for range maxTries {
		s := r.current.Load()
		if !s.lacks(key, rec) {
			return record{}, nil
		}
		revision, err := r.write(ctx, key, value, s.record(key))
		if err == nil {
			return record{value, revision}, nil
		}
		if !outdated(err) {
			return record{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		if err := r.refresh(ctx, key); err != nil {
			return record{}, err
		}
	}
	return record{}, fmt.Errorf("%w: other nodes keep changing %s", ErrUnavailable, key)
}
