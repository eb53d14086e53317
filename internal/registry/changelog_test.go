package registry_test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"theeye/internal/envelope"
	"theeye/internal/registry"
)

// killed is a copy of what a data directory has of the metadata, as a server leaves it that is
// killed.
func killed(t *testing.T, dir string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

func logs(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "metadata-*.log"))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// reopened opens a directory with a bucket that has lost everything.
func reopened(t *testing.T, dir string) *registry.Registry {
	t.Helper()
	js, _ := jetStream(t, t.TempDir())
	return openWith(t, js, registry.Options{Dir: dir, Begun: true})
}

// What narrows a right is in the copy before its answer: when the server is killed then, and the
// bucket is lost, nothing that was revoked or deleted is there again.
func TestWhatWasRevokedStaysSoWithoutTheBucket(t *testing.T) {
	js, _ := jetStream(t, t.TempDir())
	dir := t.TempDir()
	r := open(t, js, dir)
	app, err := r.CreateApp(t.Context(), "shop", registry.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	var keys []registry.Key
	var secrets []string
	for range 3 {
		k, secret, err := r.CreateKey(t.Context(), "shop", registry.Read)
		if err != nil {
			t.Fatal(err)
		}
		keys, secrets = append(keys, k), append(secrets, secret)
	}
	if _, _, err := putType(t.Context(), r, "c", "n", []byte(`{}`)); err != nil {
		t.Fatal(err)
	}
	within(t, time.Minute, func() bool { return strings.Contains(savedCopy(t, dir), `"category"`) })
	var document os.FileInfo
	for i, k := range keys[:2] {
		if err := r.RevokeKey(t.Context(), "shop", k.ID); err != nil {
			t.Fatal(err)
		}
		again := reopened(t, killed(t, dir))
		for j, secret := range secrets {
			if _, ok := again.Authenticate(secret); ok != (j > i) {
				t.Errorf("after revocation %d, key %d: valid is %v", i, j, ok)
			}
		}
		info, err := os.Stat(filepath.Join(dir, "metadata.json"))
		if err != nil || document != nil && !os.SameFile(info, document) {
			t.Errorf("a revocation replaces metadata.json: %v", err)
		}
		document = info
	}
	if err := r.DeleteType(t.Context(), "c", "n"); err != nil {
		t.Fatal(err)
	}
	if err := r.DeleteApp(t.Context(), app); err != nil {
		t.Fatal(err)
	}
	again := reopened(t, killed(t, dir))
	authenticate(t, again, secrets[2], registry.Principal{}, false)
	if _, ok := again.App("shop"); ok || again.Type("c", "n") != nil {
		t.Error("what was deleted is there again")
	}
	authenticate(t, again, r.FirstStart().WriteKey, registry.Principal{App: "default", Kind: registry.Write}, true)
}

// A creation is in the copy soon, and at the latest when the server ends, which leaves a file that
// every earlier version reads as well.
func TestAnOrderedEndLeavesNoLog(t *testing.T) {
	js, _ := jetStream(t, t.TempDir())
	dir := t.TempDir()
	r := open(t, js, dir)
	for _, name := range []string{"a", "b"} {
		if _, err := r.CreateApp(t.Context(), name, registry.Settings{}); err != nil {
			t.Fatal(err)
		}
		within(t, time.Minute, func() bool { return strings.Contains(savedCopy(t, dir), `"app":"`+name+`"`) })
	}
	if len(logs(t, dir)) != 1 || !strings.HasPrefix(read(t, filepath.Join(dir, "metadata.json")), `{"version":3,`) {
		t.Errorf("of a server that runs: %v", logs(t, dir))
	}
	if err := registry.CheckDocument([]byte(read(t, filepath.Join(dir, "metadata.json")))); !errors.Is(err, envelope.ErrDamaged) {
		t.Errorf("a document without its log: %v", err)
	}
	if _, err := r.CreateApp(t.Context(), "c", registry.Settings{}); err != nil {
		t.Fatal(err)
	}
	r.Close()
	text := read(t, filepath.Join(dir, "metadata.json"))
	if err := registry.CheckDocument([]byte(text)); err != nil || !strings.HasPrefix(text, `{"version":2,`) || len(logs(t, dir)) != 0 {
		t.Errorf("left are %v, %v", logs(t, dir), err)
	}
	if apps := reopened(t, dir).Apps(); len(apps) != 4 {
		t.Errorf("the applications are %+v", apps)
	}
}

// A log that has grown is replaced, with the file that names it.
func TestALogThatHasGrown(t *testing.T) {
	js, _ := jetStream(t, t.TempDir())
	dir := t.TempDir()
	r := open(t, js, dir)
	revoke(t, r, r.FirstStart().ReadKey)
	first := logs(t, dir)
	for i := range 12 { // more than minLogBytes together
		document := fmt.Sprintf(`{"title":"%d","description":"%s"}`, i, strings.Repeat("x", 100_000))
		if _, _, err := putType(t.Context(), r, "c", "n", []byte(document)); err != nil {
			t.Fatal(err)
		}
		within(t, time.Minute, func() bool { return strings.Contains(savedCopy(t, dir), fmt.Sprintf(`"version":%d,"schema"`, i+1)) })
	}
	if now := logs(t, dir); len(first) != 1 || len(now) != 1 || now[0] == first[0] {
		t.Errorf("the logs are %v, and were %v", now, first)
	}
	revoke(t, r, r.FirstStart().WriteKey)
	again := reopened(t, killed(t, dir))
	authenticate(t, again, r.FirstStart().WriteKey, registry.Principal{}, false)
	authenticate(t, again, r.FirstStart().ReadKey, registry.Principal{}, false)
	if versions, err := again.TypeVersions("c", "n"); err != nil || len(versions) != 12 {
		t.Errorf("there are %d versions, %v", len(versions), err)
	}
}

// Crashes between the steps of a replacement leave logs that metadata.json does not name. They do
// not count and go away.
func TestLogsThatNothingNames(t *testing.T) {
	js, _ := jetStream(t, t.TempDir())
	dir := t.TempDir()
	r := open(t, js, dir)
	_, secret, err := r.CreateKey(t.Context(), registry.DefaultApp, registry.Read)
	if err != nil {
		t.Fatal(err)
	}
	within(t, time.Minute, func() bool { return strings.Contains(savedCopy(t, dir), `"kind":"read"`) })
	revoke(t, r, secret)
	before := killed(t, dir) // with its log
	r.Close()
	after := killed(t, dir) // without
	for name, steps := range map[string]struct{ document, logs string }{
		"a log was made":         {after, before}, // and no metadata.json names it yet, or not any more
		"it was named":           {before, before},
		"the one before is left": {before, after},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			content := map[string]string{"metadata.json": read(t, filepath.Join(steps.document, "metadata.json"))}
			for _, from := range []string{steps.document, steps.logs} {
				for _, log := range logs(t, from) {
					content[filepath.Base(log)] = read(t, log)
				}
			}
			content["metadata-00000000.log"] = "" // another one
			for name := range maps.Keys(content) {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(content[name]), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			again := reopened(t, dir)
			authenticate(t, again, secret, registry.Principal{}, false)
			if left := logs(t, dir); len(left) != 0 {
				t.Errorf("left are %v", left)
			}
		})
	}
}

// The last use of keys is kept in records of few of them each; that of an earlier version is read.
func TestLastUseOfManyKeys(t *testing.T) {
	js, _ := jetStream(t, t.TempDir())
	dir := t.TempDir()
	r := open(t, js, dir)
	old, _, err := r.CreateKey(t.Context(), registry.DefaultApp, registry.Read)
	if err != nil {
		t.Fatal(err)
	}
	put(t, bucket(t, js), "used", `{"`+old.ID+`":1764421920}`)
	for range 5 {
		_, secret, err := r.CreateKey(t.Context(), registry.DefaultApp, registry.Read)
		if err != nil {
			t.Fatal(err)
		}
		r.Authenticate(secret)
	}
	r.Close()
	entry, err := bucket(t, js).Get(t.Context(), "used")
	if err != nil || strings.Count(string(entry.Value()), "key_") != 1 {
		t.Errorf("the record of all keys is %s, %v", entry.Value(), err)
	}
	empty, _ := jetStream(t, t.TempDir())
	for name, server := range map[string]jetstream.JetStream{"the bucket": js, "the copy": empty} {
		used := 0
		for _, k := range open(t, server, killed(t, dir)).Keys(registry.DefaultApp) {
			if k.LastUsedAt != nil {
				used++
			}
			if k.ID == old.ID && (k.LastUsedAt == nil || k.LastUsedAt.Unix() != 1764421920) {
				t.Errorf("from %s: the old key was last used at %v", name, k.LastUsedAt)
			}
		}
		if used != 6 {
			t.Errorf("from %s: %d keys were used, want 6", name, used)
		}
	}
}
