package registry

import (
	"context"
	"fmt"
	"hash/crc32"
	"strings"
	"sync/atomic"

	"github.com/go-json-experiment/json"

	"theeye/internal/event"
)

// useTime is when a key was last used.
type useTime struct {
	seconds atomic.Int64 // since 1970; 0 for never
	written atomic.Int64 // what a record says of it
}

// raise notes a use. Uses of one second are written once.
func (u *useTime) raise(seconds int64) { raise(&u.seconds, seconds) }

func raise(to *atomic.Int64, seconds int64) {
	for {
		before := to.Load()
		if seconds <= before || to.CompareAndSwap(before, seconds) {
			return
		}
	}
}

// uses are the times of the last use, as seconds by the id of the key. A record holds those of many
// keys, so that noting them costs few writes a minute, and not those of all, so that these are small.
// Earlier versions had one record of all keys, usedKey, which is still read.
type uses map[string]int64

// useRecords is how many records there are, of which each key has one by its id.
const useRecords = 64

func useRecord(id string) string {
	return fmt.Sprintf("%s.%02x", usedKey, crc32.ChecksumIEEE([]byte(id))%useRecords)
}

func isUses(record string) bool {
	return record == usedKey || strings.HasPrefix(record, usedKey+".")
}

func parseUses(value []byte) (uses, error) {
	if value == nil {
		return uses{}, nil
	}
	var u uses
	err := json.Unmarshal(value, &u)
	return u, event.PlainJSON(err)
}

// setUses tells keys what a record says. A key is written before its first use.
func (s *snapshot) setUses(value []byte) error {
	used, err := parseUses(value)
	for id, seconds := range used {
		if k := s.keys.Get(s.ids.Get(id)); k != nil && k.Key.ID == id {
			k.used.raise(seconds)
			raise(&k.used.written, seconds)
		}
	}
	return err
}

// writeUse writes the last use of keys when there is news; each node keeps the
// latest time that any of them saw.
func (r *Registry) writeUse(ctx context.Context) error {
	news := map[string]uses{}
	for _, k := range r.current.Load().keys.All() {
		if seconds := k.used.seconds.Load(); seconds > k.used.written.Load() {
			name := useRecord(k.Key.ID)
			if news[name] == nil {
				news[name] = uses{}
			}
			news[name][k.Key.ID] = seconds
		}
	}
	for name, used := range news {
		err := r.change(ctx, name, func(value []byte) (any, error) {
			next, err := parseUses(value)
			if err != nil {
				r.log.Error("the last use of keys cannot be read and is begun anew", "record", name, "error", err)
			}
			if next == nil {
				next = uses{}
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
