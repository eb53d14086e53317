package registry

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"theeye/internal/envelope"
)

// The records of the bucket. Keys of a bucket take few characters and keep few
// revisions, so names are hashed and each version of a type is a record:
//
//	app.<hex SHA-256 of the name>                          appRecord
//	key.<hex SHA-256 of the secret>                        keyRecord
//	type.<hex SHA-256 of category, NUL, name>.<version>    TypeVersion
//	used                                                   seconds since 1970 by the id of the key
//	state                                                  stateRecord
//
// Records are JSON, and are never deleted: what ended says so in itself.
const (
	appRecords  = "app"
	keyRecords  = "key"
	typeRecords = "type"
	usedKey     = "used"
	stateKey    = "state"
)

// hexOf returns the name of something as the key of a bucket can hold it.
func hexOf(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:])
}

// recordOverhead is what the bucket adds to a record, in bytes.
const recordOverhead = 100

// record is one record of the bucket.
type record struct {
	value    []byte // nil when it was removed
	revision uint64 // 0: was never there
}

// snapshot is the metadata at one moment. It is never changed once others see it.
type snapshot struct {
	serial  uint64 // grows with each snapshot
	bytes   int64  // of all records, as the bucket counts them, about
	records map[string]record
	apps    map[string]appState
	keys    map[digest]*keyState
	types   map[typeName]*typeState
	origins originIndex
	newer   map[string]error // records that a newer version wrote, by their keys
	useNews bool             // keys are to be told when they were used; for finish
	keyNews bool             // origins are to be indexed anew; for finish
}

func newSnapshot() *snapshot {
	return &snapshot{
		records: map[string]record{}, apps: map[string]appState{},
		keys: map[digest]*keyState{}, types: map[typeName]*typeState{}, newer: map[string]error{},
	}
}

func (s *snapshot) record(key string) record { return s.records[key] }

// copy returns a snapshot that may be changed with set and then finish.
func (s *snapshot) copy() *snapshot {
	return &snapshot{
		serial: s.serial + 1, bytes: s.bytes,
		records: maps.Clone(s.records), apps: maps.Clone(s.apps),
		keys: maps.Clone(s.keys), types: maps.Clone(s.types), origins: s.origins, newer: maps.Clone(s.newer),
	}
}

// set takes a record over. It reports whether the record is news.
func (s *snapshot) set(key string, next record) (news bool, err error) {
	before := s.records[key]
	if next.revision <= before.revision {
		return false, nil
	}
	s.records[key] = next
	s.bytes += int64(len(next.value) - len(before.value))
	if before.revision == 0 {
		s.bytes += int64(len(key)) + recordOverhead
	}
	value, removed := next.value, next.value == nil
	if removed { // by other means than this package's
		if value = before.value; value == nil {
			return true, nil
		}
	}
	delete(s.newer, key)
	if !removed {
		if err := known(key, value); errors.Is(err, envelope.ErrNewer) {
			s.newer[key] = err
		}
	}
	kind, rest, _ := strings.Cut(key, ".")
	switch kind {
	case appRecords:
		err = s.setApp(value, removed)
	case keyRecords:
		err = s.setKey(rest, value, removed)
	case typeRecords:
		err = s.setType(value, removed)
	case usedKey:
		s.useNews = true
	case stateKey:
	default: // told as one of a newer version
	}
	return true, err
}

// known returns an error for a record that this program cannot use as it is meant: envelope.ErrNewer
// when it has members that this program does not know, or is of an unknown kind. Keys are left out:
// such a key is refused, and all else works.
func known(key string, value []byte) error {
	kind, _, _ := strings.Cut(key, ".")
	switch kind {
	case appRecords:
		var a appRecord
		if err := envelope.Decode(value, &a); err != nil {
			return err
		}
		if u := a.UnknownTypes; u != "" && u != AcceptUnknown && u != RejectUnknown {
			return fmt.Errorf("unknown_types %.40q: %w", u, envelope.ErrNewer)
		}
		return nil
	case typeRecords:
		return envelope.Decode(value, new(TypeVersion))
	case stateKey:
		return envelope.Decode(value, new(stateRecord))
	case usedKey:
		if _, err := parseUses(value); err != nil && jsontext.Value(value).IsValid() {
			return fmt.Errorf("%w: %w", envelope.ErrNewer, err)
		}
		return nil
	case keyRecords:
		return nil
	}
	return fmt.Errorf("records of this kind are unknown: %w", envelope.ErrNewer)
}

// written returns an error that wraps envelope.ErrNewer when a newer version wrote a record other
// than a key.
func (s *snapshot) written() error {
	for _, key := range slices.Sorted(maps.Keys(s.newer)) {
		return fmt.Errorf("the record %s of the metadata cannot be used: %w", key, s.newer[key])
	}
	return nil
}

func (s *snapshot) setApp(value []byte, removed bool) error {
	var a appRecord
	if err := json.Unmarshal(value, &a); err != nil {
		return err
	}
	if removed || a.DeletedAt != nil {
		delete(s.apps, a.Name)
		return nil
	}
	var err error
	a.location, err = zone(a.TimeZone)
	if a.ErasingSince != nil {
		a.ID = "erasing " + a.ID // no key belongs to it any more
	}
	s.apps[a.Name] = appState{a.App, a.ID}
	return err
}

func (s *snapshot) setKey(rest string, value []byte, removed bool) error {
	var d digest
	if n, err := hex.Decode(d[:], []byte(rest)); err != nil || n != len(d) {
		return errors.New("its name is not a digest")
	}
	s.keyNews = true
	k, err := parseKey(value)
	if err != nil { // the key as it was before must not stay in force
		delete(s.keys, d)
		return err
	}
	if removed {
		delete(s.keys, d)
		return nil
	}
	next := &keyState{keyRecord: k, used: new(useTime)}
	if before := s.keys[d]; before != nil {
		next.used = before.used
	} else {
		s.useNews = true
	}
	s.keys[d] = next
	return nil
}

func (s *snapshot) setType(value []byte, removed bool) error {
	var v TypeVersion
	if err := json.Unmarshal(value, &v); err != nil {
		return err
	}
	name := typeName{v.Category, v.Name}
	s.types[name] = s.types[name].with(v, removed)
	return nil
}

// finish makes s fit to be seen: it compiles what is new and tells the keys
// when they were used.
func (s *snapshot) finish() (problems []error) {
	for name, t := range s.types {
		if t.compiled == nil {
			next := *t
			if err := next.compile(); err != nil {
				problems = append(problems, err)
			}
			s.types[name] = &next
		}
	}
	if s.keyNews {
		s.keyNews, s.origins = false, indexOrigins(s.keys)
	}
	if !s.useNews {
		return problems
	}
	s.useNews = false
	used, err := parseUses(s.record(usedKey).value)
	if err != nil {
		problems = append(problems, fmt.Errorf("last use of keys: %w", err))
	}
	for _, k := range s.keys {
		k.used.raise(used[k.Key.ID])
	}
	return problems
}
