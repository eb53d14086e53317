package registry

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"log/slog"
	"math/big"
	"path/filepath"
	"strings"
	"unicode"

	"theeye/internal/durable"
)

// digest is the SHA-256 of a secret.
type digest [sha256.Size]byte

func digestOf(secret string) digest { return sha256.Sum256([]byte(secret)) }

func (d digest) record() string { return keyRecords + "." + d.text() }

const (
	base62Digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	secretBytes  = 32
	secretDigits = 43 // 62^43 > 2^256
	crcDigits    = 6  // 62^6 > 2^32
	idBytes      = 9
	idDigits     = 13 // 62^13 > 2^72
)

// newSecret returns eye_<kind>_<43 base62 characters>_<6 characters of CRC-32>. The checksum covers
// everything before it, and distinguishes a mistyped key from an unknown one.
func newSecret(kind Kind) string { return newToken(string(kind)[:1]) }

// newToken returns a secret in the form of a key, with another letter for its kind.
func newToken(kind string) string {
	head := "eye_" + kind + "_" + random62(secretBytes, secretDigits)
	return head + "_" + checksum(head)
}

func checksum(head string) string {
	return base62(new(big.Int).SetUint64(uint64(crc32.ChecksumIEEE([]byte(head)))), crcDigits)
}

// ParseKey returns the kind of a secret that has the form of a key, including a matching checksum.
// It does not report whether the key exists. An admin key that was chosen by an administrator need
// not have this form.
func ParseKey(secret string) (Kind, bool) {
	head, sum := secret[:max(0, len(secret)-crcDigits-1)], secret[max(0, len(secret)-crcDigits):]
	for _, kind := range []Kind{Write, Read, Admin} {
		digits, ok := strings.CutPrefix(head, "eye_"+string(kind)[:1]+"_")
		if ok && len(digits) == secretDigits && strings.Trim(digits, base62Digits) == "" && secret == head+"_"+sum && sum == checksum(head) {
			return kind, true
		}
	}
	return "", false
}

// newID returns a unique id, which is not secret.
func newID(prefix string) string { return prefix + "_" + random62(idBytes, idDigits) }

func random62(bytes, digits int) string {
	b := make([]byte, bytes)
	_, _ = rand.Read(b) // never fails: crypto/rand ends the process instead
	return base62(new(big.Int).SetBytes(b), digits)
}

// base62 returns n in base 62 with the given number of digits.
func base62(n *big.Int, digits int) string {
	b := make([]byte, digits)
	rest, base, digit := new(big.Int).Set(n), big.NewInt(int64(len(base62Digits))), new(big.Int)
	for i := digits - 1; i >= 0; i-- {
		rest.DivMod(rest, base, digit)
		b[i] = base62Digits[digit.Int64()]
	}
	return string(b)
}

// secretProblem says what is wrong with an admin key from the settings or a file. It returns "" if
// the key may be used.
func secretProblem(secret string) string {
	const second, third = len("eye_a"), len("eye_a_") + secretDigits
	made := len(secret) == third+1+crcDigits && secret[second] == '_' && secret[third] == '_'
	kind, ok := ParseKey(secret)
	switch {
	case len(secret) < minSecret || len(secret) > maxSecret:
		return fmt.Sprintf("has %d bytes: give %d to %d", len(secret), minSecret, maxSecret)
	case strings.ContainsFunc(secret, unicode.IsControl):
		return "has a control character, which is not allowed in a header"
	case ok && kind != Admin:
		return "is a key of another kind"
	case !ok && (made || strings.HasPrefix(secret, "eye_")):
		return "is damaged: its checksum does not match"
	}
	return ""
}

// readAdminKey reads DIR/admin.key, or creates it if it does not exist and no other admin key was
// given. The key in it is valid whatever the bucket says.
func (r *Registry) readAdminKey() error {
	given := r.opts.AdminKey
	if given != "" {
		if problem := secretProblem(given); problem != "" {
			return &InvalidError{"--admin-key", problem}
		}
		r.first.AdminKey = given
		r.bootstrapKeys = append(r.bootstrapKeys, bootstrapKey{digestOf(given), "--admin-key"})
	}
	name := filepath.Join(r.opts.Dir, "admin.key")
	b, err := durable.ReadFile(name)
	switch {
	case err == nil:
		r.first.AdminKey = strings.TrimSpace(string(b))
		if problem := secretProblem(r.first.AdminKey); problem != "" {
			return fmt.Errorf("the admin key in %s %s. Put the file back, or remove it to have another key created", name, problem)
		}
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("read the admin key: %w", err)
	case given != "":
		return nil
	default:
		if r.first.AdminKey, err = MakeAdminKey(r.opts.Dir); err != nil {
			return err
		}
		r.first.AdminKeyMade = true
	}
	if d := digestOf(r.first.AdminKey); len(r.bootstrapKeys) == 0 || r.bootstrapKeys[0].digest != d {
		r.bootstrapKeys = append(r.bootstrapKeys, bootstrapKey{d, "admin.key"})
	}
	return nil
}

// MakeAdminKey writes a new key into admin.key of a data directory, and returns it.
func MakeAdminKey(dir string) (string, error) {
	key := newSecret(Admin)
	if err := durable.Replace(filepath.Join(dir, "admin.key"), strings.NewReader(key+"\n")); err != nil {
		return "", fmt.Errorf("store the admin key: %w", err)
	}
	return key, nil
}

// recordAdminKey stores the key of DIR/admin.key in the bucket, so that it remains valid until it
// is revoked, even if the file is lost and replaced. A key from the settings is not stored: it is
// valid as long as the setting has it.
func (r *Registry) recordAdminKey(ctx context.Context) error {
	for i, key := range r.bootstrapKeys {
		if key.id != "admin.key" {
			continue
		}
		made := keyRecord{Key: Key{ID: newID("key"), Kind: Admin, CreatedAt: r.now()}}
		isNew := r.current.Load().keys.Get(key.digest) == nil
		if isNew {
			note := Entry{Act: "keepAdminKey"}
			note.Note("key_id", made.Key.ID)
			if err := r.auditLog.Record(ctx, note); err != nil {
				return err
			}
		}
		if err := r.keepKey(ctx, key.digest, made); err != nil {
			return fmt.Errorf("store the admin key: %w", err)
		}
		if k := r.current.Load().keys.Get(key.digest); k != nil {
			r.bootstrapKeys[i].id = k.Key.ID
		}
		if isNew {
			r.logEarlierAdminKeys(r.bootstrapKeys[i].id)
		}
	}
	return nil
}

// logEarlierAdminKeys logs which admin keys remain valid after a new one was written to
// DIR/admin.key.
func (r *Registry) logEarlierAdminKeys(id string) {
	var valid []string
	for _, k := range r.Keys("") {
		if k.Kind == Admin && k.ID != id && k.RevokedAt == nil && (k.ExpiresAt == nil || k.ExpiresAt.After(now())) {
			valid = append(valid, k.ID)
		}
	}
	if len(valid) == 0 {
		return
	}
	name := filepath.Join(r.opts.Dir, "admin.key")
	text, level := "the admin key in "+name+" has changed", slog.LevelWarn
	switch {
	case r.first.AdminKeyMade:
		text = "another admin key was created, because " + name + " is missing"
	case r.auditLog.imported: // as `eye restore` said
		text, level = "the admin key in "+name+" differs from that of the backup", slog.LevelInfo
	}
	r.log.Log(context.Background(), level, text+"; earlier admin keys stay valid: revoke unused ones with `eye keys revoke KEY_ID`",
		"key_id", id, "still_valid", strings.Join(valid, ", "))
}
