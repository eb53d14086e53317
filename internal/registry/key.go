package registry

import (
	"context"
	"crypto/subtle"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"theeye/internal/jsonx"
)

// Kind says what a key may be used for.
type Kind string

// The kinds of keys.
const (
	Write Kind = "write"
	Read  Kind = "read"
	Admin Kind = "admin"
)

// Key describes a key. It never contains the secret.
type Key struct {
	ID         string     `json:"key_id"`
	App        string     `json:"app"` // empty for a key of all applications
	Kind       Kind       `json:"kind"`
	CreatedAt  time.Time  `json:"created_at"`
	RevokedAt  *time.Time `json:"revoked_at"`
	LastUsedAt *time.Time `json:"-"` // to the second
	// Unshown says that a first start created the key and has not shown its secret yet.
	Unshown bool `json:"unshown,omitzero"`
	// Unknown names, sorted, the members of the key that were written by a newer version of The Eye
	// and that this version does not know. They may restrict the key, so the key is refused.
	Unknown []string `json:"-"`
	Restrictions
}

// Restrictions say when, from where and how a key may be used. The zero value restricts nothing.
type Restrictions struct {
	// ExpiresAt is when the key expires; nil for a key that is valid until it is revoked.
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
	// Origins, in the format that browsers send, are the only ones that may use the key; nil for a
	// key without this restriction. Only a write key may have origins.
	Origins []string `json:"origins,omitempty"`
	// Signing requires each request to be signed with SigningKey. Only a write key may require it.
	Signing bool `json:"signing,omitempty"`
}

// checked returns restrictions in the format in which they are stored.
func (rules Restrictions) checked(kind Kind) (Restrictions, error) {
	if rules.ExpiresAt != nil {
		if !rules.ExpiresAt.After(time.Now()) {
			return rules, &InvalidError{"expires_at", "is not in the future"}
		}
		at := rules.ExpiresAt.UTC().Truncate(time.Microsecond)
		rules.ExpiresAt = &at
	}
	switch {
	case rules.Origins != nil && kind != Write:
		return rules, &InvalidError{"origins", "are only for write keys: pages of other origins can send and cannot read"}
	case rules.Signing && kind != Write:
		return rules, &InvalidError{"signing", "is only for write keys"}
	case rules.Signing && rules.Origins != nil:
		return rules, &InvalidError{"signing", "is for servers, and origins are for browsers, where anyone can read the key; create two keys"}
	case rules.Origins == nil:
		return rules, nil
	case len(rules.Origins) == 0:
		return rules, &InvalidError{"origins", "is empty; name at least one, or omit it for a key that any origin may use"}
	}
	var err error
	rules.Origins, err = checkedOrigins(rules.Origins)
	return rules, err
}

// keyRecord is a key as it is stored, under the digest of its secret.
type keyRecord struct {
	Key
	AppID string                    `json:"app_id"` // of the application for which it was created
	More  map[string]jsontext.Value `json:",embed"` // unknown members, which are kept when the record changes
}

// parseKey reads a record.
func parseKey(value []byte) (k keyRecord, err error) {
	if err := json.Unmarshal(value, &k); err != nil {
		return k, jsonx.PlainJSON(err)
	}
	k.Unknown = slices.Sorted(maps.Keys(k.More))
	if k.Kind != Write && k.Kind != Read && k.Kind != Admin {
		k.Unknown = append(k.Unknown, fmt.Sprintf("kind %.40q", k.Kind))
	}
	return k, nil
}

// keyState is a key with its last use, which snapshots share.
type keyState struct {
	keyRecord
	lastUse *lastUse
}

// withLastUse returns the key with the time of its last use.
func (k *keyState) withLastUse() Key {
	described := k.Key
	if seconds := k.lastUse.seconds.Load(); seconds > 0 {
		at := time.Unix(seconds, 0).UTC()
		described.LastUsedAt = &at
	}
	return described
}

// bootstrapKey is an admin key from outside the bucket. It is always valid.
type bootstrapKey struct {
	digest digest
	id     string
}

// Principal is the identity and the rights that a secret gives.
type Principal struct {
	App   string // empty for all applications
	Kind  Kind
	KeyID string
	// LoginID is set for a person who has signed in with the key.
	LoginID string
	// Signing says whether the request must be signed with SigningKey.
	Signing bool
	origins *keyState // the key, if it names origins; else nil
}

// AllowsOrigin reports whether a page of an origin may use the key. The origin of a request that
// names none is "".
func (p Principal) AllowsOrigin(origin string) bool {
	return p.origins == nil || p.NamesOrigin(origin)
}

// Public reports whether the key names origins. The pages of those origins contain it, so anyone
// who opens one of them can read it.
func (p Principal) Public() bool { return p.origins != nil }

// NamesOrigin reports whether the key names an origin.
func (p Principal) NamesOrigin(origin string) bool {
	return p.origins != nil && slices.Contains(p.origins.Origins, origin)
}

// The lengths of secrets, in bytes. Longer ones are not even hashed.
const (
	minSecret = 20
	maxSecret = 512
)

// Authenticate returns the principal of a secret; ok is false if the secret is unknown, revoked or
// expired, or its application is gone. It takes no lock and does no I/O. It looks up a digest, so
// its timing reveals nothing about the secret. It notes the use, which is written in the background
// at most once a minute.
func (r *Registry) Authenticate(secret string) (principal Principal, ok bool) {
	principal, k, ok := r.find(secret)
	if ok && k != nil {
		k.lastUse.raise(time.Now().Unix())
	}
	return principal, ok
}

// Peek is like Authenticate, but notes no use. Recognize also finds keys that are no longer valid,
// for logs and counts only, and Refusal explains to the sender why a key of a newer version is
// refused.
func (r *Registry) Peek(secret string) (principal Principal, ok bool) {
	principal, _, ok = r.find(secret)
	return principal, ok
}

// Refusal says why a key that a newer version of The Eye wrote is refused. It returns "" for the
// secret of any other key.
func (r *Registry) Refusal(secret string) string {
	if len(secret) < minSecret || len(secret) > maxSecret {
		return ""
	}
	s := r.current.Load()
	k := s.keys.Get(digestOf(secret))
	if k == nil || len(k.Unknown) == 0 || k.RevokedAt != nil || !s.belongs(k) {
		return ""
	}
	return fmt.Sprintf("this key has restrictions that this version of The Eye does not know (%s), and is refused: it was written by a newer version; start that version again, or create another key",
		strings.Join(k.Unknown, ", "))
}

// find returns the principal of a secret, and its key if that is in the bucket.
func (r *Registry) find(secret string) (principal Principal, k *keyState, ok bool) {
	if len(secret) < minSecret || len(secret) > maxSecret {
		return Principal{}, nil, false
	}
	return r.findIn(r.current.Load(), digestOf(secret))
}

// findIn is find for the digest of a secret in a snapshot.
func (r *Registry) findIn(s *snapshot, d digest) (principal Principal, k *keyState, ok bool) {
	k = s.keys.Get(d)
	for _, key := range r.bootstrapKeys {
		if subtle.ConstantTimeCompare(key.digest[:], d[:]) == 1 {
			return Principal{Kind: Admin, KeyID: key.id}, k, true
		}
	}
	if k == nil || !s.valid(k) {
		return Principal{}, nil, false
	}
	principal = Principal{App: k.App, Kind: k.Kind, KeyID: k.Key.ID, Signing: k.Signing}
	if k.Origins != nil {
		principal.origins = k
	}
	return principal, k, true
}

// valid reports whether a key may be used now.
func (s *snapshot) valid(k *keyState) bool {
	return k.RevokedAt == nil && len(k.Unknown) == 0 && (k.ExpiresAt == nil || time.Now().Before(*k.ExpiresAt)) && s.belongs(k)
}

// belongs reports whether the application of a key is still the one for which the key was created.
func (s *snapshot) belongs(k *keyState) bool {
	if k.App == "" {
		return true
	}
	a, ok := s.apps.Find(k.App)
	return ok && a.id == k.AppID
}

// Keys returns the keys of an application, or those for all applications (""), oldest first,
// including revoked ones.
func (r *Registry) Keys(app string) []Key {
	s := r.current.Load()
	var keys []Key
	for _, k := range s.keys.All() {
		if k.App == app && s.belongs(k) {
			keys = append(keys, k.withLastUse())
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

// CreateKey creates a key without restrictions.
func (r *Registry) CreateKey(ctx context.Context, app string, kind Kind) (Key, string, error) {
	return r.CreateRestrictedKey(ctx, app, kind, Restrictions{})
}

// CreateRestrictedKey creates a key and returns its secret, which is not stored anywhere. A write
// key needs an application, an admin key has none, and a read key may have one. Errors:
// *InvalidError, ErrNotFound, ErrUnavailable.
func (r *Registry) CreateRestrictedKey(ctx context.Context, app string, kind Kind, rules Restrictions) (Key, string, error) {
	return r.createKey(ctx, Key{App: app, Kind: kind, Restrictions: rules})
}

// createKey creates a key with the application, kind, restrictions and Unshown of wanted.
func (r *Registry) createKey(ctx context.Context, wanted Key) (Key, string, error) {
	app, kind := wanted.App, wanted.Kind
	switch {
	case kind != Write && kind != Read && kind != Admin:
		return Key{}, "", &InvalidError{"kind", "must be write, read or admin"}
	case kind == Write && app == "":
		return Key{}, "", &InvalidError{"kind", "write belongs to one application; make the key under /v1/apps/{app}/keys"}
	case kind == Admin && app != "":
		return Key{}, "", &InvalidError{"kind", "admin belongs to all applications; make the key under /v1/keys"}
	}
	rules, err := wanted.checked(kind)
	if err != nil {
		return Key{}, "", err
	}
	if err := r.checkRoom(); err != nil {
		return Key{}, "", err
	}
	made := keyRecord{Key: Key{ID: newID("key"), App: app, Kind: kind, CreatedAt: r.now(), Unshown: wanted.Unshown, Restrictions: rules}}
	if app != "" {
		a, ok := r.current.Load().apps.Find(app)
		if !ok || a.ErasingSince != nil {
			return Key{}, "", appError(app, ErrNotFound)
		}
		made.AppID = a.id
	}
	secret := newSecret(kind)
	if err := r.keepKey(ctx, digestOf(secret), made); err != nil {
		return Key{}, "", fmt.Errorf("create key: %w", err)
	}
	return made.Key, secret, nil
}

// keepKey stores a key, unless there is one with that digest.
func (r *Registry) keepKey(ctx context.Context, d digest, k keyRecord) error {
	return r.update(ctx, d.record(), func(old []byte) (any, error) {
		if old != nil {
			return nil, nil
		}
		return k, nil
	})
}

// RevokeKey revokes a key permanently. Revoking it again changes nothing. The key in DIR/admin.key
// is always valid and cannot be revoked. Errors: ErrNotFound, *InvalidError, ErrUnavailable.
func (r *Registry) RevokeKey(ctx context.Context, app, id string) error {
	s := r.current.Load()
	d, _ := s.ids.Find(id)
	k := s.keys.Get(d)
	switch {
	case k == nil || k.Key.ID != id || !s.belongs(k):
		return fmt.Errorf("key %.40q %w", id, ErrNotFound)
	case k.App != app:
		place := "/v1/keys"
		if k.App != "" {
			place = "/v1/apps/{app}/keys"
		}
		return fmt.Errorf("key %.40q %w among the keys of %s; it is one of %s: revoke it under %s", id, ErrNotFound, keysOf(app), keysOf(k.App), place)
	}
	for _, key := range r.bootstrapKeys {
		if key.digest == d {
			return &InvalidError{"key_id", "is the admin key that this server was started with and always takes: start it with another (admin.key in the data directory, --admin-key), then revoke this one"}
		}
	}
	at := r.now()
	err := r.update(ctx, d.record(), func(value []byte) (any, error) {
		old, err := parseKey(value)
		if err != nil {
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

// keysOf says in words to whom the keys of an application belong; "" stands for all applications.
func keysOf(app string) string {
	if app == "" {
		return "all applications"
	}
	return fmt.Sprintf("the application %q", app)
}
