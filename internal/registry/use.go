package registry

import (
	"context"
	"sync/atomic"

	"github.com/go-json-experiment/json"
)

// useTime is when a key was last used.
type useTime struct{ seconds atomic.Int64 } // since 1970; 0 for never

// raise notes a use. Uses of one second are written once.
func (u *useTime) raise(seconds int64) {
	for {
		before := u.seconds.Load()
		if seconds <= before || u.seconds.CompareAndSwap(before, seconds) {
			return
		}
	}
}

// uses are the times of the last use, as seconds by the id of the key. All keys
// share one record, so that noting them costs one write a minute.
type uses map[string]int64

func parseUses(value []byte) (uses, error) {
	if value == nil {
		return nil, nil
	}
	var u uses
	err := json.Unmarshal(value, &u)
	return u, err
}

// writeUse writes the last use of keys when there is news; each node keeps the
// latest time that any of them saw.
func (r *Registry) writeUse(ctx context.Context) error {
	return r.change(ctx, usedKey, func(value []byte) (any, error) {
		old, err := parseUses(value)
		if err != nil {
			r.log.Error("the last use of keys cannot be read and is begun anew", "error", err)
		}
		next, news := uses{}, false
		for _, k := range r.current.Load().keys {
			seconds := max(k.used.seconds.Load(), old[k.Key.ID])
			if seconds > 0 {
				next[k.Key.ID] = seconds
			}
			news = news || seconds > old[k.Key.ID]
		}
		if !news {
			return nil, nil
		}
		return next, nil
	})
}
