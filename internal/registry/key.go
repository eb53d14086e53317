package registry

import (
	"context"
	"crypto/subtle"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
)

// Kind says what a key may be used for.
type Kind string

// The kinds of keys.
const (
	Write Kind = "write"
	Read  Kind = "read"
	Admin Kind = "admin"
)

// Key is what is told of a key: never its secret.
type Key struct {
	ID         string     `json:"key_id"`
	App        string     `json:"app"` // empty for a key of all applications
	Kind       Kind       `json:"kind"`
	CreatedAt  time.Time  `json:"created_at"`
	RevokedAt  *time.Time `json:"revoked_at"`
	LastUsedAt *time.Time `json:"-"` // to the second; on other nodes a minute late
}

// keyRecord is a key as it is kept, under the digest of its secret.
type keyRecord struct {
	Key
	AppID string `json:"app_id"` // of the application for which it was made
}

// keyState is a key with its last use, which outlives snapshots.
type keyState struct {
	keyRecord
	used *useTime
}

// key returns what is told of k.
func (k *keyState) key() Key {
	told := k.Key
	if seconds := k.used.seconds.Load(); seconds > 0 {
		at := time.Unix(seconds, 0).UTC()
		told.LastUsedAt = &at
	}
	return told
}

// ownKey is a secret that is valid whatever the bucket says.
type ownKey struct {
	digest digest
	id     string
}

// Principal is who a secret stands for.
type Principal struct {
	App   string // empty for all applications
	Kind  Kind
	KeyID string
}

// The lengths of secrets, in bytes. Longer ones are not even hashed.
const (
	minSecret = 20
	maxSecret = 512
)

// Authenticate returns who a secret stands for; ok is false when it is unknown,
// revoked, or its application is gone. It takes no lock and does no I/O, and by
// looking up a digest it tells nothing by its timing. The use is noted, and
// written in the background once a minute at most.
func (r *Registry) Authenticate(secret string) (who Principal, ok bool) {
	if len(secret) < minSecret || len(secret) > maxSecret {
		return Principal{}, false
	}
	d := digestOf(secret)
	s := r.current.Load()
	k := s.keys[d]
	for _, own := range r.own {
		if subtle.ConstantTimeCompare(own.digest[:], d[:]) == 1 {
			if k != nil {
				k.used.raise(time.Now().Unix())
			}
			return Principal{Kind: Admin, KeyID: own.id}, true
		}
	}
	if k == nil || k.RevokedAt != nil || !s.belongs(k) {
		return Principal{}, false
	}
	k.used.raise(time.Now().Unix())
	return Principal{App: k.App, Kind: k.Kind, KeyID: k.Key.ID}, true
}

// belongs reports whether the application of a key is still the one for which
// the key was made.
func (s *snapshot) belongs(k *keyState) bool {
	if k.App == "" {
		return true
	}
	a, ok := s.apps[k.App]
	return ok && a.id == k.AppID
}

// Keys returns the keys of an application, or those of all applications (""),
// oldest first, revoked ones included.
func (r *Registry) Keys(app string) []Key {
	s := r.current.Load()
	var keys []Key
	for _, k := range s.keys {
		if k.App == app && s.belongs(k) {
			keys = append(keys, k.key())
		}
	}
	slices.SortFunc(keys, func(a, b Key) int {
		if c := a.CreatedAt.Compare(b.CreatedAt); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return keys
}

// CreateKey makes a key and returns its secret, which is kept nowhere. A write
// key needs an application, an admin key has none, and a read key may have one.
// Errors: *InvalidError, ErrNotFound, ErrUnavailable.
func (r *Registry) CreateKey(ctx context.Context, app string, kind Kind) (Key, string, error) {
	switch {
	case kind != Write && kind != Read && kind != Admin:
		return Key{}, "", &InvalidError{"kind", "may be write, read or admin"}
	case kind == Write && app == "":
		return Key{}, "", &InvalidError{"kind", "write belongs to one application: make it under /v1/apps/{app}/keys"}
	case kind == Admin && app != "":
		return Key{}, "", &InvalidError{"kind", "admin belongs to all applications: make it under /v1/keys"}
	}
	if err := r.checkRoom(); err != nil {
		return Key{}, "", err
	}
	made := keyRecord{Key: Key{ID: newID("key"), App: app, Kind: kind, CreatedAt: now()}}
	if app != "" {
		a, ok := r.current.Load().apps[app]
		if !ok {
			return Key{}, "", fmt.Errorf("application %.80q: %w", app, ErrNotFound)
		}
		made.AppID = a.id
	}
	secret := newSecret(kind)
	if err := r.keepKey(ctx, digestOf(secret), made); err != nil {
		return Key{}, "", fmt.Errorf("make key: %w", err)
	}
	return made.Key, secret, nil
}

// keepKey writes a key, unless there is one with that digest.
func (r *Registry) keepKey(ctx context.Context, d digest, k keyRecord) error {
	return r.change(ctx, d.record(), func(old []byte) (any, error) {
		if old != nil {
			return nil, nil
		}
		return k, nil
	})
}

// RevokeKey makes a key invalid, for good. Revoking it again changes nothing.
// The key in DIR/admin.key, which is always valid, cannot be revoked. Errors:
// ErrNotFound, *InvalidError, ErrUnavailable.
func (r *Registry) RevokeKey(ctx context.Context, app, id string) error {
	s := r.current.Load()
	for d, k := range s.keys {
		if k.Key.ID != id || k.App != app || !s.belongs(k) {
			continue
		}
		for _, own := range r.own {
			if own.digest == d {
				return &InvalidError{"key_id", "is the admin key that this server was started with and always takes: start it with another (admin.key in the data directory, --admin-key), then revoke this one"}
			}
		}
		at := now()
		err := r.change(ctx, d.record(), func(value []byte) (any, error) {
			var old keyRecord
			if err := json.Unmarshal(value, &old); err != nil {
				return nil, fmt.Errorf("%w: the record cannot be read: %w", ErrUnavailable, err)
			}
			if old.RevokedAt != nil {
				return nil, nil
			}
			old.RevokedAt = &at
			return old, nil
		})
		if err != nil {
			return fmt.Errorf("revoke key: %w", err)
		}
		return nil
	}
	return fmt.Errorf("key %.40q: %w", id, ErrNotFound)
}
