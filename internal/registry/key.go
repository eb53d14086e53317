package registry

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"maps"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Kind says what a key may be used for.
type Kind string

// The kinds of keys.
const (
	Write Kind = "write"
	Read  Kind = "read"
	Admin Kind = "admin"
)

// Key is what is kept of a key: never its secret.
type Key struct {
	ID        string     `json:"key_id"`
	App       string     `json:"app"` // empty for a key of all applications
	Kind      Kind       `json:"kind"`
	CreatedAt time.Time  `json:"created_at"`
	RevokedAt *time.Time `json:"revoked_at"`
}

// digest is the SHA-256 of a secret.
type digest [sha256.Size]byte

func digestOf(secret string) digest { return sha256.Sum256([]byte(secret)) }

func (d digest) record() string { return keyRecords + "." + hex.EncodeToString(d[:]) }

// hash reads the digest from the key of a record.
func (k Key) hash(record string) (d digest) {
	_, text, _ := strings.Cut(record, ".")
	_, _ = hex.Decode(d[:], []byte(text))
	return d
}

// Principal is who a secret stands for.
type Principal struct {
	App   string // empty for all applications
	Kind  Kind
	KeyID string
}

// Authenticate returns who a secret stands for; ok is false when it is unknown,
// revoked, or its application is gone. It takes no lock, and by looking up a
// digest it tells nothing by its timing.
func (r *Registry) Authenticate(secret string) (who Principal, ok bool) {
	if secret == "" {
		return Principal{}, false
	}
	d := digestOf(secret)
	for _, own := range []struct{ secret, id string }{{r.first.AdminKey, "admin.key"}, {r.opts.AdminKey, "--admin-key"}} {
		if own.secret != "" && d == digestOf(own.secret) {
			return Principal{Kind: Admin, KeyID: own.id}, true
		}
	}
	s := r.current.Load()
	k, ok := s.keys[d]
	if !ok || k.RevokedAt != nil {
		return Principal{}, false
	}
	if _, exists := s.apps[k.App]; !exists && k.App != "" {
		return Principal{}, false
	}
	return Principal{App: k.App, Kind: k.Kind, KeyID: k.ID}, true
}

// Keys returns the keys of an application, or of none (""), oldest first,
// revoked ones included.
func (r *Registry) Keys(app string) []Key {
	var keys []Key
	for k := range maps.Values(r.current.Load().keys) {
		if k.App == app {
			keys = append(keys, k)
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
// key needs an application, an admin key has none. Errors: *InvalidError,
// ErrNotFound, ErrUnavailable.
func (r *Registry) CreateKey(ctx context.Context, app string, kind Kind) (Key, string, error) {
	switch {
	case kind != Write && kind != Read && kind != Admin:
		return Key{}, "", &InvalidError{"kind", "may be write, read or admin"}
	case kind == Write && app == "":
		return Key{}, "", &InvalidError{"kind", "write belongs to one application: make it under /v1/apps/{app}/keys"}
	case kind == Admin && app != "":
		return Key{}, "", &InvalidError{"kind", "admin belongs to all applications: make it under /v1/keys"}
	}
	if app != "" {
		if _, ok := r.App(app); !ok {
			return Key{}, "", fmt.Errorf("application %q: %w", app, ErrNotFound)
		}
	}
	return r.newKey(ctx, app, kind)
}

func (r *Registry) newKey(ctx context.Context, app string, kind Kind) (Key, string, error) {
	secret := newSecret(kind)
	d := digestOf(secret)
	k := Key{ID: "key_" + base62(new(big.Int).SetBytes(randomBytes(9)), 13), App: app, Kind: kind, CreatedAt: now()}
	if err := r.put(ctx, d.record(), k, 0); err != nil {
		return Key{}, "", fmt.Errorf("make key: %w", err)
	}
	return k, secret, nil
}

// RevokeKey makes a key invalid, for good. Revoking it again changes nothing.
// Errors: ErrNotFound, ErrUnavailable.
func (r *Registry) RevokeKey(ctx context.Context, app, id string) error {
	for d, k := range r.current.Load().keys {
		if k.ID != id || k.App != app {
			continue
		}
		if k.RevokedAt != nil {
			return nil
		}
		at := now()
		k.RevokedAt = &at
		err := r.put(ctx, d.record(), k, r.revision(d.record()))
		if errors.Is(err, ErrExists) { // somebody else revoked it meanwhile: there is no other change
			return nil
		}
		if err != nil {
			return fmt.Errorf("revoke key: %w", err)
		}
		return nil
	}
	return fmt.Errorf("key %.40q: %w", id, ErrNotFound)
}

const (
	base62Digits  = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	secretDigits  = 43 // 62^43 > 2^256
	crcDigits     = 6  // 62^6 > 2^32
	minAdminChars = 20 // of a secret that an administrator chooses
)

// newSecret returns eye_<kind>_<43 base62 characters>_<6 characters of CRC-32>.
func newSecret(kind Kind) string {
	head := "eye_" + string(kind)[:1] + "_" + base62(new(big.Int).SetBytes(randomBytes(32)), secretDigits)
	return head + "_" + base62(new(big.Int).SetUint64(uint64(crc32.ChecksumIEEE([]byte(head)))), crcDigits)
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails: crypto/rand ends the process instead
	return b
}

// base62 writes n with so many digits.
func base62(n *big.Int, digits int) string {
	b := make([]byte, digits)
	rest, digit := new(big.Int).Set(n), new(big.Int)
	for i := digits - 1; i >= 0; i-- {
		rest.DivMod(rest, big.NewInt(62), digit)
		b[i] = base62Digits[digit.Int64()]
	}
	return string(b)
}

// readAdminKey reads DIR/admin.key, or makes it. What is in it is always valid.
func (r *Registry) readAdminKey() error {
	if k := r.opts.AdminKey; k != "" && len(k) < minAdminChars {
		return &InvalidError{"--admin-key", fmt.Sprintf("is too short: give at least %d characters", minAdminChars)}
	}
	name := filepath.Join(r.opts.Dir, "admin.key")
	b, err := os.ReadFile(name)
	switch {
	case err == nil:
		if r.first.AdminKey = strings.TrimSpace(string(b)); len(r.first.AdminKey) < minAdminChars {
			return fmt.Errorf("%s holds no key: remove it, and another is made", name)
		}
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("read the admin key: %w", err)
	}
	r.first.AdminKey, r.first.AdminKeyMade = newSecret(Admin), true
	if err := writeDurably(name, []byte(r.first.AdminKey+"\n")); err != nil {
		return fmt.Errorf("keep the admin key: %w", err)
	}
	return nil
}
