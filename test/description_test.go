package test

import (
	encbinary "encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// unflushed is a server that was killed with events in segments and events in the queue alone, and
// a revoked key.
func unflushed(t *testing.T) (s *server, revoked string) {
	t.Helper()
	s = start(t, "--flush-age", "10h", "--flush-rows", "1000000")
	s.post(numbered(0, 25))
	s.shutDown()
	s.launch()
	s.post(numbered(25, 50))
	a := s.call("POST", "/v1/apps/shop/keys", s.admin, `{"kind":"read"}`)
	s.must(a, 201)
	s.must(s.call("DELETE", "/v1/apps/shop/keys/"+a.text("key_id"), s.admin, ""), 204)
	s.kill()
	if err := os.Remove(filepath.Join(s.data, "eye.sock")); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return s, a.text("key")
}

// A stream of which the description is damaged loses nothing, and no one has to do anything.
func TestDamagedDescription(t *testing.T) {
	t.Parallel()
	built, revoked := unflushed(t)
	for _, stream := range []string{"EYE_FRAMES", "KV_EYE_METADATA", "EYE_AUDIT"} {
		for _, file := range []string{"meta.inf", "meta.sum"} {
			for way, damage := range map[string]func(string) error{
				"missing": os.Remove,
				"empty":   func(name string) error { return os.Truncate(name, 0) },
				"flipped": func(name string) error {
					b, err := os.ReadFile(name)
					if err != nil {
						return err
					}
					b[len(b)/2] ^= 4
					return os.WriteFile(name, b, 0o600)
				},
			} {
				t.Run(fmt.Sprint(stream, " ", file, " ", way), func(t *testing.T) {
					s := &server{t: t, data: filepath.Join(t.TempDir(), "data"), write: built.write, read: built.read}
					copyDir(t, built.data, s.data)
					if err := errors.Join(damage(filepath.Join(s.stream(stream), file)), os.RemoveAll(filepath.Join(s.data, "confirmed"))); err != nil {
						t.Fatal(err)
					}
					s.launch()
					s.sums(50, 50, 0)
					s.must(s.call("GET", "/v1/events", revoked, ""), 401)
					if acts := actsOf(s.trail("")); !strings.Contains(acts, "firstStart done") || !strings.Contains(acts, "createApp done") || strings.Contains(acts, "beginTrail done, beginTrail done") {
						t.Errorf("the trail is %s", acts)
					}
					if got := s.output.String(); !strings.Contains(got, "it was rewritten") || strings.Contains(got, "metadata was lost") || strings.Contains(got, "audit log was missing") {
						t.Errorf("the log has %s", got)
					}
				})
			}
		}
	}
}

// headerLengths returns where in a block the records have the lengths of their headers, which their
// checksums leave out.
func headerLengths(b []byte) (at []int) {
	for i := 0; i < len(b); {
		size := encbinary.LittleEndian.Uint32(b[i:])
		if size>>31 == 1 {
			at = append(at, i+22+int(encbinary.LittleEndian.Uint16(b[i+20:])))
		}
		i += int(size &^ (1 << 31))
	}
	return at
}

// One bit of the metadata, or of the audit log, costs at most its own record, and no start waits
// for it.
func TestOneBitOfTheMetadata(t *testing.T) {
	t.Parallel()
	killed, revoked := unflushed(t)
	ended := &server{t: t, data: filepath.Join(t.TempDir(), "data"), write: killed.write, read: killed.read}
	copyDir(t, killed.data, ended.data)
	ended.launch()
	all := len(ended.trail(""))
	ended.shutDown()
	for _, stream := range []string{"KV_EYE_METADATA", "EYE_AUDIT"} {
		for name, built := range map[string]*server{"killed": killed, "ended": ended} {
			block := filepath.Join(built.stream(stream), "msgs", "1.blk")
			whole, err := os.ReadFile(block)
			if err != nil {
				t.Fatal(err)
			}
			lengths := headerLengths(whole)
			if len(lengths) < 3 {
				t.Fatalf("%s has %d records with a header", stream, len(lengths))
			}
			for _, at := range []int{lengths[0], lengths[len(lengths)/2], lengths[len(lengths)-1]} {
				for what, at := range map[string]int{"length of the header": at + 1, "header": at + 4, "subject": at - 1} {
					t.Run(fmt.Sprint(stream, " ", name, " ", what, " ", at), func(t *testing.T) {
						s := &server{t: t, data: filepath.Join(t.TempDir(), "data"), write: built.write, read: built.read}
						copyDir(t, built.data, s.data)
						b := append([]byte(nil), whole...)
						b[at] ^= 4
						if err := os.WriteFile(filepath.Join(s.stream(stream), "msgs", "1.blk"), b, 0o600); err != nil {
							t.Fatal(err)
						}
						s.launch()
						s.must(s.call("GET", "/v1/events", revoked, ""), 401)
						s.must(s.call("GET", "/v1/events", s.read, ""), 200)
						s.sums(50, 50, 0)
						if got := len(s.trail("")); got < all-1 {
							t.Errorf("the trail has %d of %d entries", got, all)
						}
						if got := s.reasons(); strings.Contains(got, "a file of the audit log") != (stream == "EYE_AUDIT") {
							t.Errorf("readyz tells %s", got)
						}
						kept, err := filepath.Glob(filepath.Join(s.data, "queue", "quarantine", "block-"+stream+"-1-*.blk"))
						if err != nil || len(kept) != 1 {
							t.Errorf("kept is %v, %v", kept, err)
						}
					})
				}
			}
		}
	}
}
