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

	"theeye/internal/cow"
	"theeye/internal/envelope"
	"theeye/internal/event"
	"theeye/internal/jsonx"
)

// The records of the bucket. The keys of a bucket allow few characters, and the bucket keeps one
// revision of each, so names are hashed and each version of a type is a record:
//
//	app.<hex SHA-256 of the name>                          appRecord
//	key.<hex SHA-256 of the secret>                        keyRecord
//	type.<hex SHA-256 of category, NUL, name>.<version>    TypeVersion
//	logins.<hex SHA-256 of the secret of a key>            loginsRecord; in no backup
//	directory                                              directoryRecord; in no backup
//	used.<shard>                                           seconds since 1970 by the id of the key: see lastuse.go
//	state                                                  stateRecord
//
// Records are JSON and are never deleted: a record says in itself that its object was deleted.
const (
	appRecords   = "app"
	keyRecords   = "key"
	typeRecords  = "type"
	loginRecords = "logins"
	directoryKey = "directory"
	usedKey      = "used" // times of the last use; see lastUseRecord. Older buckets have one record for all keys
	stateKey     = "state"
)

// hexOf returns the hash of a name in a form that a key of the bucket allows.
func hexOf(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:])
}

// recordOverhead is what the bucket adds to a record, in bytes.
const recordOverhead = 100

// record is one record of the bucket.
type record struct {
	value    []byte // nil if it was removed
	revision uint64 // 0 if it never existed
}

// snapshot is the metadata at one moment. It is not changed after it was published.
type snapshot struct {
	bytes   int64 // of all records, approximately as the bucket counts them
	records *cow.Map[string, record]
	apps    *cow.Map[string, appState]
	keys    *cow.Map[digest, *keyState]
	ids     *cow.Map[string, digest] // of keys, by their ids
	types   *cow.Map[typeName, *typeState]
	origins *cow.Map[string, []*keyState] // the keys that name an origin
	logins  *cow.Map[digest, *loginState] // by the digests of their tokens
	links   *cow.Map[digest, linkState]   // likewise
	newer   map[string]error              // records that a newer version wrote, by their keys

	// What set leaves for finish.
	newTypes    map[typeName]struct{}
	newLastUses [][]byte
}

func newSnapshot() *snapshot { return new(snapshot).copy() }

func (s *snapshot) record(key string) record { return s.records.Get(key) }

// copy returns a snapshot that may be changed with set, and must be completed with finish.
func (s *snapshot) copy() *snapshot {
	next := &snapshot{
		bytes: s.bytes, records: s.records.Copy(), apps: s.apps.Copy(), keys: s.keys.Copy(), ids: s.ids.Copy(),
		types: s.types.Copy(), origins: s.origins.Copy(), logins: s.logins.Copy(), links: s.links.Copy(), newer: maps.Clone(s.newer), newTypes: map[typeName]struct{}{},
	}
	if next.newer == nil {
		next.newer = map[string]error{}
	}
	return next
}

// set applies a newer revision of a record.
func (s *snapshot) set(key string, next record) error {
	before := s.record(key)
	s.records.Set(key, next)
	s.bytes += int64(len(next.value) - len(before.value))
	if before.revision == 0 {
		s.bytes += int64(len(key)) + recordOverhead
	}
	value, removed := next.value, next.value == nil
	if removed { // not by this package
		if value = before.value; value == nil {
			return nil
		}
	}
	delete(s.newer, key)
	if !removed {
		if err := checkRecord(key, value); errors.Is(err, envelope.ErrNewer) {
			s.newer[key] = err
		}
	}
	kind, rest, _ := strings.Cut(key, ".")
	switch kind {
	case appRecords:
		return s.setApp(value, removed)
	case keyRecords:
		return s.setKey(rest, value, removed)
	case typeRecords:
		return s.setType(value, removed)
	case usedKey:
		s.newLastUses = append(s.newLastUses, next.value)
	case loginRecords:
		return s.setLogins(rest, before.value, next.value)
	case directoryKey, stateKey:
	default: // reported as written by a newer version
	}
	return nil
}

// checkRecord returns an error for a record that this program cannot apply as intended:
// envelope.ErrNewer if the record has unknown members or is of an unknown kind. It does not check
// keys: a key with unknown members is refused, and everything else works.
func checkRecord(key string, value []byte) error {
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
	case loginRecords:
		return envelope.Decode(value, new(loginsRecord))
	case directoryKey:
		return envelope.Decode(value, new(directoryRecord))
	case usedKey:
		if _, err := parseLastUses(value); err != nil && jsontext.Value(value).IsValid() {
			return fmt.Errorf("%w: %w", envelope.ErrNewer, err)
		}
		return nil
	case keyRecords:
		return nil
	}
	return fmt.Errorf("records of this kind are unknown: %w", envelope.ErrNewer)
}

// checkVersion returns an error that wraps envelope.ErrNewer if a newer version wrote a record
// other than a key.
func (s *snapshot) checkVersion() error {
	for _, key := range slices.Sorted(maps.Keys(s.newer)) {
		return fmt.Errorf("the record %s of the metadata cannot be used: %w", key, s.newer[key])
	}
	return nil
}

func (s *snapshot) setApp(value []byte, removed bool) error {
	var a appRecord
	if err := json.Unmarshal(value, &a); err != nil {
		return jsonx.PlainJSON(err)
	}
	if removed || a.DeletedAt != nil {
		s.apps.Remove(a.Name)
		return nil
	}
	var err error
	a.location, err = event.LoadZone(a.TimeZone)
	if a.ErasingSince != nil {
		a.ID = "erasing " + a.ID // no key belongs to it any more
	}
	s.apps.Set(a.Name, appState{a.App, a.ID})
	return err
}

func (s *snapshot) setKey(rest string, value []byte, removed bool) error {
	d, err := digestIn(rest)
	if err != nil {
		return errors.New("its name is not a digest")
	}
	before := s.keys.Get(d)
	if before != nil {
		s.indexOrigins(before, nil)
	}
	k, err := parseKey(value)
	if err != nil || removed { // a key that cannot be parsed must not stay in force in its earlier state
		s.keys.Remove(d)
		return err
	}
	next := &keyState{keyRecord: k, lastUse: new(lastUse)}
	if before != nil {
		next.lastUse = before.lastUse
	}
	s.keys.Set(d, next)
	s.ids.Set(k.Key.ID, d)
	s.indexOrigins(nil, next)
	return nil
}

func (s *snapshot) setType(value []byte, removed bool) error {
	var v TypeVersion
	if err := json.Unmarshal(value, &v); err != nil {
		return jsonx.PlainJSON(err)
	}
	name := typeName{v.Category, v.Name}
	s.types.Set(name, s.types.Get(name).with(v, removed))
	s.newTypes[name] = struct{}{}
	return nil
}

// finish completes s for publication: it compiles new types and applies the last uses to the keys.
func (s *snapshot) finish() (problems []error) {
	for name := range s.newTypes {
		if err := s.types.Get(name).compile(); err != nil {
			problems = append(problems, err)
		}
	}
	for _, value := range s.newLastUses {
		if err := s.setLastUses(value); err != nil {
			problems = append(problems, fmt.Errorf("last use of keys: %w", err))
		}
	}
	s.newTypes, s.newLastUses = nil, nil
	return problems
}
