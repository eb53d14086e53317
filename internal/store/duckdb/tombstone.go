package duckdb

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/go-json-experiment/json"

	"theeye/internal/durable"
	"theeye/internal/event"
)

// Tombstone keeps a session from coming back: a keyed hash of its application and
// its id, and when it was erased. It does not tell the session. That of a whole
// application is the keyed hash of its name.
type Tombstone struct {
	Hash  string       `json:"hash"` // HMAC-SHA256 in hexadecimal
	At    event.Micros `json:"at"`
	Frame uint64       `json:"frame"` // the last frame that may hold something of the session
	Done  bool         `json:"done"`
}

// buried is what a tombstone stands for.
type buried struct{ app, session string }

// hashOf returns the keyed hash of a session.
func (m *Manifest) hashOf(b buried) string {
	key, _ := hex.DecodeString(m.TombstoneKey)
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(b.app))
	mac.Write([]byte{0})
	mac.Write([]byte(b.session))
	return hex.EncodeToString(mac.Sum(nil))
}

// hashOfApp returns the keyed hash of an application. It is none of a session:
// those hold a zero byte behind the application.
func (m *Manifest) hashOfApp(app string) string {
	key, _ := hex.DecodeString(m.TombstoneKey)
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(app))
	return hex.EncodeToString(mac.Sum(nil))
}

// erasedAt returns when sessions were erased last, by their hash.
func (m *Manifest) erasedAt() map[string]event.Micros {
	at := make(map[string]event.Micros, len(m.Tombstones))
	for _, t := range m.Tombstones {
		at[t.Hash] = max(at[t.Hash], t.At)
	}
	return at
}

// needKey makes the key of the hashes, once.
func (m *Manifest) needKey() error {
	if m.TombstoneKey != "" {
		return nil
	}
	key := make([]byte, sha256.Size)
	if _, err := rand.Read(key); err != nil {
		return err
	}
	m.TombstoneKey = hex.EncodeToString(key)
	return nil
}

// The file of tombstones has one JSON object in a line: first the key, then the
// tombstones. It outlives the store's folder, so that a backup of before an erasure
// can be restored without bringing back what was erased.
type keyLine struct {
	Key string `json:"key"`
}

// writeTombstones replaces the file.
func (m *Manifest) writeTombstones(path string) error {
	var b bytes.Buffer
	lines := []any{keyLine{m.TombstoneKey}}
	for _, t := range m.Tombstones {
		lines = append(lines, t)
	}
	for _, line := range lines {
		if err := json.MarshalWrite(&b, line); err != nil {
			return fmt.Errorf("write tombstones: %w", err)
		}
		b.WriteByte('\n')
	}
	if err := durable.Replace(path, &b); err != nil {
		return fmt.Errorf("write tombstones: %w", err)
	}
	return nil
}

// TombstoneError tells that the file of tombstones cannot be used.
type TombstoneError struct {
	Path string
	Err  error
}

func (e *TombstoneError) Error() string {
	return fmt.Sprintf("the file of erased sessions %s cannot be used: %v; put the right one in its place, or remove it when nothing was ever erased", e.Path, e.Err)
}

func (e *TombstoneError) Unwrap() error { return e.Err }

// addTombstones takes those of the file over that the manifest does not have, as
// after a restore. Their erasure begins anew.
func (m *Manifest) addTombstones(path string) error {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return &TombstoneError{path, err}
	}
	lines := bufio.NewScanner(bytes.NewReader(b))
	var key keyLine
	if lines.Scan() {
		err = json.Unmarshal(lines.Bytes(), &key)
	}
	switch {
	case err != nil:
		return &TombstoneError{path, err}
	case m.TombstoneKey == "":
		m.TombstoneKey = key.Key
	case m.TombstoneKey != key.Key:
		return &TombstoneError{path, errors.New("it belongs to another store")}
	}
	m.Tombstones = slices.Clone(m.Tombstones)
	for lines.Scan() {
		var t Tombstone
		if err := json.Unmarshal(lines.Bytes(), &t); err != nil {
			return &TombstoneError{path, err}
		}
		same := func(o Tombstone) bool { return o.Hash == t.Hash && o.At == t.At }
		if !slices.ContainsFunc(m.Tombstones, same) {
			t.Done, t.Frame = false, min(t.Frame, m.Flushed)
			m.Tombstones = append(m.Tombstones, t)
		}
	}
	if err := lines.Err(); err != nil {
		return &TombstoneError{path, err}
	}
	return nil
}
