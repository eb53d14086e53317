package registry_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"theeye/internal/registry"
)

// A bucket without its state and without a copy is a first start only in a directory that no server
// has used.
func TestLostMetadataIsNoFirstStart(t *testing.T) {
	js, _ := jetStream(t, t.TempDir())
	dir := t.TempDir()
	_, err := registry.Open(t.Context(), js, registry.Options{Dir: dir, Begun: true})
	if err == nil || !strings.Contains(err.Error(), "`eye store recover --forget-metadata --yes`") || !strings.Contains(err.Error(), filepath.Join(dir, "metadata.json")) {
		t.Errorf("got %v", err)
	}
	if _, err := js.Stream(t.Context(), "EYE_AUDIT"); !errors.Is(err, jetstream.ErrStreamNotFound) {
		t.Errorf("a log was begun: %v", err)
	}
	if r := open(t, js, dir); !r.FirstStart().Made {
		t.Error("no first start")
	}
}

// What is told of a copy or a log that is missing: nothing after a first start that was interrupted
// at its end, or of a directory of an earlier version, which had no trail.
func TestWhatIsMissingIsTold(t *testing.T) {
	for name, c := range map[string]struct {
		missing string
		begun   bool
		want    string
	}{
		"a first start that ended before its copy": {"metadata.json", false, ""},
		"a copy":             {"metadata.json", true, "the copy of the metadata, "},
		"a log":              {"EYE_AUDIT", true, "the audit log was missing"},
		"an earlier version": {"a log that there was", true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			js, _ := jetStream(t, t.TempDir())
			dir := t.TempDir()
			file := filepath.Join(dir, "metadata.json")
			r := open(t, js, dir)
			if c.missing == "a log that there was" {
				_, state := recordOf(t, bucket(t, js), "complete_since")
				put(t, bucket(t, js), "state", strings.Replace(state, `,"trail":true`, "", 1))
				within(t, time.Minute, func() bool {
					return strings.Contains(savedCopy(t, dir), strings.Replace(state, `,"trail":true`, "", 1))
				})
			}
			r.Close()
			var err error
			if c.missing == "metadata.json" {
				err = os.Remove(file)
			} else {
				err = js.DeleteStream(t.Context(), "EYE_AUDIT")
			}
			if err != nil {
				t.Fatal(err)
			}
			var told []string
			opts := registry.Options{Dir: dir, Begun: c.begun, Note: func(text string) { told = append(told, text) }}
			openWith(t, js, opts).Close()
			if text := strings.Join(told, "\n"); !strings.HasPrefix(text, c.want) || (c.want == "") != (text == "") {
				t.Errorf("told is %q, want %q", told, c.want)
			}
			told = nil
			openWith(t, js, opts).Close()
			if told != nil {
				t.Errorf("told again is %q", told)
			}
			// From then on it is known that there is a log.
			if err := js.DeleteStream(t.Context(), "EYE_AUDIT"); err != nil {
				t.Fatal(err)
			}
			openWith(t, js, opts).Close()
			if len(told) != 1 || !strings.Contains(told[0], "audit log") {
				t.Errorf("told is %q", told)
			}
		})
	}
}

// A start that was killed after it had told of the loss, and before it wrote it down, is made
// again.
func TestALossIsToldAgain(t *testing.T) {
	js, _ := jetStream(t, t.TempDir())
	dir := t.TempDir()
	open(t, js, dir).Close()
	stream, err := js.Stream(t.Context(), "EYE_AUDIT")
	if err == nil {
		err = js.DeleteStream(t.Context(), "EYE_AUDIT")
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), stream.CachedInfo().Config); err != nil {
		t.Fatal(err)
	}
	var told []string
	r := openWith(t, js, registry.Options{Dir: dir, Begun: true, Note: func(text string) { told = append(told, text) }})
	if len(told) != 1 {
		t.Errorf("told is %q", told)
	}
	got, dropped := acts(t, r.AuditLog(), registry.AuditQuery{Limit: 10})
	if !slices.Equal(got, []string{"beginTrail:done"}) || dropped {
		t.Errorf("the log is %v, dropped %v", got, dropped)
	}
}

// What is forgotten goes to the quarantine, and the directory begins as a first start does, with
// the log that it has.
func TestForgetting(t *testing.T) {
	js, _ := jetStream(t, t.TempDir())
	dir := t.TempDir()
	file := filepath.Join(dir, "metadata.json")
	r := open(t, js, dir)
	secret := r.FirstStart().WriteKey
	r.Close()
	if _, err := registry.PlanForgetting(dir); !errors.Is(err, registry.ErrNothingToForget) {
		t.Errorf("of a whole copy: %v", err)
	}
	if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := js.DeleteKeyValue(t.Context(), "EYE_METADATA"); err != nil {
		t.Fatal(err)
	}
	for _, want := range [][]string{{file}, nil} {
		f, err := registry.PlanForgetting(dir)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, f.Moves); diff != "" {
			t.Error(diff)
		}
		if err := f.Apply(nil); err != nil {
			t.Fatal(err)
		}
	}
	r = openWith(t, js, registry.Options{Dir: dir, Begun: true})
	authenticate(t, r, secret, registry.Principal{}, false)
	authenticate(t, r, r.FirstStart().WriteKey, registry.Principal{App: "default", Kind: registry.Write}, true)
	page, err := r.AuditLog().Page(t.Context(), registry.AuditQuery{Act: "firstStart", Limit: 10})
	if err != nil || len(page.Entries) != 2 || string(page.Entries[0].Detail["metadata"]) != `"forgotten"` {
		t.Errorf("the log has %+v, %v", page.Entries, err)
	}
}

// A server that never delivers a record, as JetStream does when the length of its header is
// damaged, does not keep a start waiting: it ends with what to do.
func TestMetadataIsNotDelivered(t *testing.T) {
	store, dir := t.TempDir(), t.TempDir()
	n, stop := newNode(t, store)
	open(t, n.js, dir).Close()
	stop()
	bucket := filepath.Join("jetstream", "$G", "streams", "KV_EYE_METADATA")
	block := filepath.Join(store, bucket, "msgs", "1.blk")
	b := []byte(read(t, block))
	b[22+int(b[20])+1] ^= 4 // of the first record
	if err := errors.Join(os.WriteFile(block, b, 0o600), os.Remove(filepath.Join(filepath.Dir(block), "index.db"))); err != nil {
		t.Fatal(err)
	}
	js, _ := jetStream(t, store)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err := registry.Open(ctx, js, registry.Options{Dir: dir, Begun: true})
	if err == nil || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "move the folder "+filepath.Join(dir, "queue", bucket)+" away") {
		t.Errorf("got %v", err)
	}
}

// A copy that may not be read is neither missing nor damaged, and is not given up.
func TestCopyThatMayNotBeRead(t *testing.T) {
	dir := t.TempDir()
	name, advice := filepath.Join(dir, "metadata.json"), "`eye store recover --forget-metadata --yes`"
	if err := registry.CheckCopy(dir); err == nil || !strings.Contains(err.Error(), advice) {
		t.Errorf("of a copy that is missing it says %v", err)
	}
	if err := os.Symlink(name, name); err != nil { // ELOOP, for root too
		t.Fatal(err)
	}
	if err := registry.CheckCopy(dir); !errors.Is(err, syscall.ELOOP) || strings.Contains(err.Error(), advice) {
		t.Errorf("of a copy that may not be read it says %v", err)
	}
}

// Streams describes what Open makes.
func TestStreams(t *testing.T) {
	js, _ := jetStream(t, t.TempDir())
	open(t, js, t.TempDir())
	described, _ := jetStream(t, t.TempDir())
	for _, want := range registry.Streams(registry.Options{}) {
		made, err := js.Stream(t.Context(), want.Name)
		if err != nil {
			t.Fatal(err)
		}
		again, err := described.CreateStream(t.Context(), want)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(made.CachedInfo().Config, again.CachedInfo().Config); diff != "" {
			t.Error(diff)
		}
	}
}

// What replaces a record is in the copy first, because the bucket alone may lose it to damage:
// without a copy nothing changes. What is new is made all the same.
func TestAChangeWithoutItsCopyIsNotMade(t *testing.T) {
	dir := t.TempDir()
	js, _ := jetStream(t, t.TempDir())
	r := open(t, js, dir)
	k, secret, err := r.CreateKey(t.Context(), registry.DefaultApp, registry.Read)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "metadata.json")
	if err := errors.Join(os.Remove(name), os.Mkdir(name, 0o700), os.WriteFile(filepath.Join(name, "x"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := r.RevokeKey(t.Context(), registry.DefaultApp, k.ID); !errors.Is(err, registry.ErrNotCopied) || !errors.Is(err, registry.ErrUnavailable) {
			t.Errorf("the revocation ended with %v", err)
		}
	}
	authenticate(t, r, secret, registry.Principal{App: registry.DefaultApp, Kind: registry.Read}, true)
	if r.CopyError() == nil {
		t.Error("nothing tells that the copy is not written")
	}
	if _, err := r.CreateApp(t.Context(), "shop", registry.Settings{}); err != nil {
		t.Errorf("the creation ended with %v", err)
	}
	if err := os.RemoveAll(name); err != nil {
		t.Fatal(err)
	}
	if err := r.RevokeKey(t.Context(), registry.DefaultApp, k.ID); err != nil {
		t.Error(err)
	}
	authenticate(t, r, secret, registry.Principal{}, false)
	if text := savedCopy(t, dir); !strings.Contains(text, `"revoked_at":"`) || !strings.Contains(text, `"shop"`) || r.CopyError() != nil {
		t.Errorf("the copy has %s", text)
	}
}

// The copy of an earlier bucket, as in a backup of before a restore, or of another data directory,
// brings nothing back: what was deleted since stays so. A later one is not passed over either.
func TestACopyOfAnotherBucket(t *testing.T) {
	earlierDir, dir := t.TempDir(), t.TempDir()
	earlierJS, _ := jetStream(t, t.TempDir())
	r := open(t, earlierJS, earlierDir)
	secret := r.FirstStart().WriteKey
	app, err := r.CreateApp(t.Context(), "old", registry.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	for range 20 { // revisions beyond those of the bucket that is made of the copy
		if _, err := r.UpdateApp(t.Context(), "old", func(s *registry.Settings) { s.Rate++ }); err != nil {
			t.Fatal(err)
		}
	}
	r.Close()
	earlier := read(t, filepath.Join(earlierDir, "metadata.json"))
	name := filepath.Join(dir, "metadata.json")
	if err := os.WriteFile(name, []byte(earlier), 0o600); err != nil {
		t.Fatal(err)
	}
	js, _ := jetStream(t, t.TempDir())
	r = open(t, js, dir)
	revoke(t, r, secret)
	if err := r.DeleteApp(t.Context(), app); err != nil {
		t.Fatal(err)
	}
	r.Close()
	later := read(t, name)

	if err := os.WriteFile(name, []byte(earlier), 0o600); err != nil {
		t.Fatal(err)
	}
	var notes []string
	r, err = registry.Open(t.Context(), js, registry.Options{Dir: dir, Begun: true, Note: func(text string) { notes = append(notes, text) }})
	if err != nil {
		t.Fatal(err)
	}
	authenticate(t, r, secret, registry.Principal{}, false)
	if _, ok := r.App("old"); ok {
		t.Error("a deleted application is there again")
	}
	r.Close()
	kept, err := filepath.Glob(filepath.Join(dir, "quarantine", "metadata-*.json"))
	if err != nil || len(kept) != 1 || read(t, kept[0]) != earlier || len(notes) != 1 || !strings.Contains(notes[0], "of earlier metadata") {
		t.Errorf("kept are %v, told is %q, %v", kept, notes, err)
	}
	if read(t, name) != later {
		t.Error("the copy was not rewritten")
	}

	if err := os.WriteFile(filepath.Join(earlierDir, "metadata.json"), []byte(later), 0o600); err != nil {
		t.Fatal(err)
	}
	if r, err := registry.Open(t.Context(), earlierJS, registry.Options{Dir: earlierDir, Begun: true}); err == nil || !strings.Contains(err.Error(), "at a later time") {
		t.Errorf("beside an older bucket: %v, %v", r, err)
	}
}
