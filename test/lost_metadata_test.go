package test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// stream returns the folder of a stream in the queue.
func (s *server) stream(name string) string {
	return filepath.Join(s.data, "queue", "jetstream", "$G", "streams", name)
}

// refused starts a server that must refuse, with texts in what it prints.
func (s *server) refused(texts ...string) {
	s.t.Helper()
	if s.launched() {
		s.t.Fatal("the server started")
	}
	for _, text := range texts {
		if out := s.output.String(); !strings.Contains(out, text) {
			s.t.Errorf("it does not say %q:\n%s", text, out)
		}
	}
}

// used is a server that has ended, with keys, events and a revoked key.
func used(t *testing.T) *server {
	t.Helper()
	s := start(t)
	s.post(numbered(0, 50))
	s.shutDown()
	return s
}

// Metadata that is neither in the queue nor in its copy is no first start. The way on keeps events
// and audit log.
func TestLostMetadataIsNoFirstStart(t *testing.T) {
	t.Parallel()
	built := used(t)
	unused := start(t)
	unused.shutDown()
	cut := func(s *server) error { return os.WriteFile(filepath.Join(s.data, "metadata.json"), []byte("{"), 0o600) }
	gone := func(s *server) error { return os.Remove(filepath.Join(s.data, "metadata.json")) }
	for name, c := range map[string]struct {
		built  *server
		bucket func(*server) error
		copied func(*server) error
		says   string
		trail  bool // it is still there
	}{
		"no queue":              {built, func(s *server) error { return os.RemoveAll(filepath.Join(s.data, "queue")) }, gone, "the metadata is lost", false},
		"no queue and no event": {unused, func(s *server) error { return os.RemoveAll(filepath.Join(s.data, "queue")) }, gone, "the metadata is lost", false},
		"no bucket":             {built, func(s *server) error { return os.RemoveAll(s.stream("KV_EYE_METADATA")) }, gone, "the metadata is lost", true},
		"an empty bucket":       {built, func(s *server) error { return os.RemoveAll(filepath.Join(s.stream("KV_EYE_METADATA"), "msgs")) }, gone, "the metadata is lost", true},
		"no bucket and damaged": {built, func(s *server) error { return os.RemoveAll(s.stream("KV_EYE_METADATA")) }, cut, "the metadata is lost", true},
		"a damaged bucket":      {built, damageBucket, gone, "the metadata in the queue is damaged", true},
		"both of them damaged":  {built, damageBucket, cut, "the metadata in the queue is damaged", true},
		"a bucket without form": {built, func(s *server) error { return os.WriteFile(s.metadataBlock(), nil, 0o600) }, gone, "the metadata is lost", true},
	} {
		t.Run(name, func(t *testing.T) {
			s := &server{t: t, data: filepath.Join(t.TempDir(), "data"), write: c.built.write, read: c.built.read}
			copyDir(t, c.built.data, s.data)
			if err := errors.Join(c.bucket(s), c.copied(s)); err != nil {
				t.Fatal(err)
			}
			command := "`eye store recover --forget-metadata --yes --data " + s.data + "`"
			for range 2 {
				s.refused(c.says, command, filepath.Join(s.data, "metadata.json"), "eye backup extract BACKUP metadata.json FILE")
			}
			if _, err := os.Stat(filepath.Join(s.data, "queue", "jetstream")); strings.HasPrefix(name, "no queue") && err == nil {
				t.Error("a start that was refused made a queue")
			}
			before := listed(t, s.data)
			if out := s.beside(0, "store", "recover", "--forget-metadata"); !strings.Contains(out, "nothing was changed") || listed(t, s.data) != before {
				t.Errorf("it says %s", out)
			}
			kept := 0
			for range 2 {
				if out := s.beside(0, "store", "recover", "--forget-metadata", "--yes"); !strings.Contains(out, "starts without applications and keys") {
					t.Errorf("it says %s", out)
				}
				moved, err := filepath.Glob(filepath.Join(s.data, "quarantine", "*"))
				if err != nil || kept > 0 && len(moved) != kept {
					t.Errorf("%v, %v", moved, err)
				}
				kept = len(moved)
			}
			s.launch()
			if !strings.Contains(s.output.String(), "starts without applications and keys") {
				t.Errorf("nothing tells it:\n%s", s.output)
			}
			s.must(s.call("GET", "/v1/events", s.read, ""), 401)
			if a := s.call("GET", "/v1/apps", s.admin, ""); strings.Count(string(a.body), `"app":`) != 1 || !strings.Contains(string(a.body), `"app":"default"`) {
				t.Errorf("the applications are %s", a.body)
			}
			acts := actsOf(s.trail(""))
			if !strings.HasPrefix(acts, "keepAdminKey done, firstStart done, ") || strings.Contains(acts, "createApp done") != c.trail {
				t.Errorf("the trail is %s", acts)
			}
			if got := s.reasons(); strings.Contains(got, "the audit log was missing") == c.trail {
				t.Errorf("readyz tells %s", got)
			}
			if c.built == unused {
				return
			}
			s.prepare()
			s.sums(50, 50, 0)
			s.counts(50)
			s.shutDown()
			s.launch()
			s.must(s.call("GET", "/v1/events", s.read, ""), 200)
			if out := s.eventualRefusal("store", "recover", "--forget-metadata", "--yes"); !strings.Contains(out, "can be used") {
				t.Errorf("of whole metadata it says %s", out)
			}
		})
	}
}

// eventualRefusal shuts the server down cleanly, and runs a command that must be refused.
func (s *server) eventualRefusal(args ...string) string {
	s.t.Helper()
	s.shutDown()
	return s.beside(1, args...)
}

// damageBucket changes a block of the metadata such that no write was merely cut off.
func damageBucket(s *server) error {
	b, err := os.ReadFile(s.metadataBlock())
	if err != nil {
		return err
	}
	for _, at := range everywhere(b) {
		b[at] ^= 1
	}
	return os.WriteFile(s.metadataBlock(), b, 0o600)
}

// A recovery that is killed between its steps is done again.
func TestForgettingMetadataIsKilled(t *testing.T) {
	t.Parallel()
	built := used(t)
	for _, step := range []string{"bucket moved", "copy moved"} {
		t.Run(step, func(t *testing.T) {
			s := &server{t: t, data: filepath.Join(t.TempDir(), "data")}
			copyDir(t, built.data, s.data)
			if err := errors.Join(damageBucket(s), os.WriteFile(filepath.Join(s.data, "metadata.json"), nil, 0o600)); err != nil {
				t.Fatal(err)
			}
			args := []string{"store", "recover", "--forget-metadata", "--yes", "--data", s.data}
			if code, out := runProgram(t, binary(t, "eyefault"), []string{"EYE_FAULT_KILL=forget metadata " + step + ":1"}, args...); code != -1 {
				t.Fatalf("it ended with %d: %s", code, out)
			}
			s.refused("the metadata is lost", "`eye store recover --forget-metadata --yes --data ")
			s.beside(0, args[:4]...)
			s.launch()
			if moved, err := filepath.Glob(filepath.Join(s.data, "quarantine", "*")); err != nil || len(moved) != 2 {
				t.Errorf("in quarantine are %v, %v", moved, err)
			}
			s.prepare()
			s.sums(50, 50, 0)
		})
	}
}

// The store and the metadata come back together, and each alone.
func TestForgetMetadataOfADamagedStore(t *testing.T) {
	t.Parallel()
	s := used(t)
	if err := errors.Join(os.RemoveAll(filepath.Join(s.data, "queue")), os.Remove(filepath.Join(s.data, "metadata.json")),
		os.Remove(filepath.Join(s.data, "store", "MANIFEST.json"))); err != nil {
		t.Fatal(err)
	}
	if out := s.beside(0, "store", "recover", "--forget-metadata", "--yes"); !strings.Contains(out, "comes back      1 segment, 50 events") {
		t.Errorf("it says %s", out)
	}
	s.launch()
	s.prepare()
	s.sums(50, 50, 0)
}

// A first start that is killed at any time is followed by another one, of which nothing is told but
// that it is one.
func TestFirstStartIsKilled(t *testing.T) {
	t.Parallel()
	check := func(t *testing.T, s *server) {
		t.Helper()
		s.env, s.tags = nil, ""
		s.launch()
		if got := s.reasons(); got != "[]" {
			t.Errorf("readyz tells %s", got)
		}
		if got := s.output.String(); strings.Contains(got, `"level":"ERROR"`) {
			t.Errorf("the log has %s", got)
		}
		s.prepare()
		s.post(numbered(0, 1))
	}
	for _, step := range []string{"before manifest", "manifest written"} {
		for n := 1; ; n++ {
			s := &server{t: t, data: t.TempDir(), tags: "eyefault", env: []string{fmt.Sprintf("EYE_FAULT_KILL=%s:%d", step, n)}}
			if s.launched() {
				s.kill()
				break
			}
			t.Run(fmt.Sprint(step, " ", n), func(t *testing.T) { s.t = t; check(t, s) })
		}
	}
	for _, name := range []string{"admin.key", "queue/jetstream/$G/streams/EYE_FRAMES/meta.inf", "queue/jetstream/$G/streams/KV_EYE_METADATA/meta.inf", "queue/jetstream/$G/streams/EYE_AUDIT/meta.inf", "metadata.json", "clock"} {
		t.Run("when there is "+filepath.Base(filepath.Dir("DIR/"+name))+" "+filepath.Base(name), func(t *testing.T) {
			s := &server{t: t, data: t.TempDir()}
			s.run()
			for there := false; !there; {
				_, err := os.Stat(filepath.Join(s.data, name))
				select {
				case <-s.exited:
					t.Fatalf("it ended: %s", s.output)
				default:
					there = err == nil
				}
			}
			s.kill()
			check(t, s)
		})
	}
}

// While the metadata has no copy, damage to it may go unnoticed: that is told, until it is
// acknowledged or the server was shut down cleanly.
func TestMissingCopyOfTheMetadataIsTold(t *testing.T) {
	t.Parallel()
	built := used(t)
	for name, damage := range map[string]func(string) error{
		"missing": os.Remove,
		"damaged": func(file string) error { return os.WriteFile(file, []byte("{"), 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			s := &server{t: t, data: filepath.Join(t.TempDir(), "data")}
			copyDir(t, built.data, s.data)
			if err := damage(filepath.Join(s.data, "metadata.json")); err != nil {
				t.Fatal(err)
			}
			s.launch()
			want := "metadata.json, was " + name + " at startup"
			if got := s.reasons(); !strings.Contains(got, want) || !strings.Contains(got, "`eye keys list`") {
				t.Errorf("readyz tells %s", got)
			}
			s.kill()
			s.launch()
			if got := s.reasons(); strings.Count(got, want) != 1 {
				t.Errorf("after a kill readyz tells %s", got)
			}
			if out := s.beside(0, "store", "acknowledge"); !strings.Contains(out, "`eye keys list --data "+s.data+"`") {
				t.Errorf("it says %s", out)
			}
			if got := s.reasons(); got != "[]" {
				t.Errorf("after that readyz tells %s", got)
			}
			s.kill()
			s.launch()
			if got := s.reasons(); got != "[]" {
				t.Errorf("after a kill readyz tells %s", got)
			}
		})
	}
}

// A key that was revoked last is valid again when the revocation is torn off and the copy is gone,
// as a crash might leave it: then it is told.
func TestTornRevocationIsTold(t *testing.T) {
	t.Parallel()
	s := start(t)
	a := s.call("POST", "/v1/apps/shop/keys", s.admin, `{"kind":"read"}`)
	s.must(a, 201)
	s.must(s.call("DELETE", "/v1/apps/shop/keys/"+a.text("key_id"), s.admin, ""), 204)
	s.kill()
	info, err := os.Stat(s.metadataBlock())
	if err == nil {
		err = errors.Join(os.Truncate(s.metadataBlock(), info.Size()-9), os.Remove(filepath.Join(s.data, "metadata.json")))
	}
	if err != nil {
		t.Fatal(err)
	}
	s.launch()
	s.must(s.call("GET", "/v1/events", a.text("key"), ""), 200) // else this tests nothing
	if got := s.reasons(); !strings.Contains(got, "keys that were revoked") {
		t.Errorf("readyz tells %s", got)
	}
}

// A trail that is gone is told, in the new one as well. One that begins is not.
func TestLostAuditTrailIsTold(t *testing.T) {
	t.Parallel()
	built := used(t)
	for name, lose := range map[string]func(*server) error{
		"the stream": func(s *server) error { return os.RemoveAll(s.stream("EYE_AUDIT")) },
		"the queue":  func(s *server) error { return os.RemoveAll(filepath.Join(s.data, "queue")) },
	} {
		t.Run(name, func(t *testing.T) {
			s := &server{t: t, data: filepath.Join(t.TempDir(), "data")}
			copyDir(t, built.data, s.data)
			if err := lose(s); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				s.launch()
				if got := s.reasons(); strings.Count(got, "the audit log was missing") != 1 {
					t.Errorf("readyz tells %s", got)
				}
				entries := s.trail("&act=beginTrail")
				if len(entries) != 1 || fmt.Sprint(entries[0]["detail"]) != "map[earlier_entries:lost]" {
					t.Errorf("the trail begins with %v", entries)
				}
				s.kill()
			}
			s.launch()
			if strings.Contains(s.output.String(), "the audit log was missing") {
				t.Error("it is told again")
			}
			s.beside(0, "store", "acknowledge")
			if got := s.reasons(); got != "[]" {
				t.Errorf("after that readyz tells %s", got)
			}
			backup := filepath.Join(t.TempDir(), "backup")
			s.backup(backup)
			r := s.restored(backup)
			if got := r.reasons(); got != "[]" {
				t.Errorf("restored, readyz tells %s", got)
			}
		})
	}
}

// After an ordered stop nothing is cut off: a trail that is, has lost entries. After a kill the
// record that was being written is.
func TestCutAuditTrailIsTold(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.post(numbered(0, 3))
	s.must(s.call("DELETE", "/v1/sessions/other", s.admin, ""), 200)
	s.shutDown()
	block := filepath.Join(s.stream("EYE_AUDIT"), "msgs", "1.blk")
	info, err := os.Stat(block)
	if err == nil {
		err = os.Truncate(block, info.Size()-5)
	}
	if err != nil {
		t.Fatal(err)
	}
	s.launch()
	if got := s.reasons(); !strings.Contains(got, "a file of the audit log") {
		t.Errorf("readyz tells %s", got)
	}
	s.sums(3, 3, 0)
}
