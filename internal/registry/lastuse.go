package registry

import (
	"context"
	"fmt"
	"hash/crc32"
	"strings"
	"sync/atomic"

	"github.com/go-json-experiment/json"

	"theeye/internal/jsonx"
)

// lastUse is when a key was last used.
type lastUse struct {
	seconds atomic.Int64 // since 1970; 0 for never
	written atomic.Int64 // the value in the bucket
}

// raise notes a use. Several uses in the same second are written once.
func (u *lastUse) raise(seconds int64) { raise(&u.seconds, seconds) }

func raise(to *atomic.Int64, seconds int64) {
	for {
		before := to.Load()
		if seconds <= before || to.CompareAndSwap(before, seconds) {
			return
		}
	}
}

// lastUses are the times of the last use, in seconds since 1970 by the id of the key. A record
// holds those of many keys, so that few writes a minute suffice, but not of all, so that the writes
// are small.
type lastUses map[string]int64

// lastUseShards is the number of records. The id of a key determines its record.
const lastUseShards = 64

func lastUseRecord(id string) string {
	return fmt.Sprintf("%s.%02x", usedKey, crc32.ChecksumIEEE([]byte(id))%lastUseShards)
}

func isLastUseRecord(record string) bool {
	return record == usedKey || strings.HasPrefix(record, usedKey+".")
}

func parseLastUses(value []byte) (lastUses, error) {
	if value == nil {
		return lastUses{}, nil
	}
	var u lastUses
	err := json.Unmarshal(value, &u)
	return u, jsonx.PlainJSON(err)
}

// setLastUses sets the last use of the keys in a record. A key is always written before its last
// use.
func (s *snapshot) setLastUses(value []byte) error {
	used, err := parseLastUses(value)
	for id, seconds := range used {
		if k := s.keys.Get(s.ids.Get(id)); k != nil && k.Key.ID == id {
			k.lastUse.raise(seconds)
			raise(&k.lastUse.written, seconds)
		}
	}
	return err
}

// writeLastUses writes the last uses that have changed. Of several nodes' times, the latest is
// kept.
func (r *Registry) writeLastUses(ctx context.Context) error {
	changed := map[string]lastUses{}
	for _, k := range r.current.Load().keys.All() {
		if seconds := k.lastUse.seconds.Load(); seconds > k.lastUse.written.Load() {
			name := lastUseRecord(k.Key.ID)
			if changed[name] == nil {
				changed[name] = lastUses{}
			}
			changed[name][k.Key.ID] = seconds
		}
	}
	for name, used := range changed {
		err := r.update(ctx, name, func(value []byte) (any, error) {
			next, err := parseLastUses(value)
			if err != nil {
				r.log.Error("the last use of keys cannot be read and is reset", "record", name, "error", err)
			}
			if next == nil {
				next = lastUses{}
			}
			for id, seconds := range used {
				next[id] = max(next[id], seconds)
			}
			return next, nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
