package registry_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"theeye/internal/registry"
)

func TestARestoreThatWasInterruptedGoesOn(t *testing.T) {
	js, _ := jetStream(t, t.TempDir())
	dir := t.TempDir()
	r := open(t, js, dir)
	secret, admin := r.FirstStart().WriteKey, r.FirstStart().AdminKey
	for _, app := range []string{"shop", "blog"} {
		if _, err := r.CreateApp(t.Context(), app, registry.Settings{TimeZone: "Asia/Tokyo"}); err != nil {
			t.Fatal(err)
		}
	}
	r.Close()
	keys, err := bucket(t, js).Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	copied := read(t, filepath.Join(dir, "metadata.json"))
	for cut := range keys { // the process ended when so many records were back
		r = openHalf(t, dir, cut, copied)
		if len(r.Apps()) != 3 {
			t.Errorf("%d of %d records: %d applications", cut, len(keys), len(r.Apps()))
		}
		authenticate(t, r, secret, registry.Principal{App: "default", Kind: registry.Write}, true)
		authenticate(t, r, admin, registry.Principal{Kind: registry.Admin}, true)
		if r.FirstStart().WriteKey != "" {
			t.Error("taken for a first start")
		}
		if got := read(t, filepath.Join(dir, "metadata.json")); strings.Count(got, `"app.`) != 3 {
			t.Errorf("the file is %s", got)
		}
		r.Close()
	}
}

// openHalf opens a registry over a bucket that holds only some of the records, and not yet the
// state.
func openHalf(t *testing.T, dir string, count int, copied string) *registry.Registry {
	t.Helper()
	js, _ := jetStream(t, t.TempDir())
	full := open(t, js, writeCopy(t, copied))
	full.Close()
	kv := bucket(t, js)
	keys, err := kv.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i, key := range keys {
		if i >= count || key == "state" {
			if err := kv.Purge(t.Context(), key); err != nil {
				t.Fatal(err)
			}
		}
	}
	return open(t, js, dir)
}

func writeCopy(t *testing.T, content string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "metadata.json"), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestAFirstStartThatWasInterruptedIsMadeAgain(t *testing.T) {
	js, _ := jetStream(t, t.TempDir())
	r := open(t, js, t.TempDir())
	lost := r.FirstStart()
	r.Close()
	if err := bucket(t, js).Purge(t.Context(), "state"); err != nil {
		t.Fatal(err)
	}
	r = open(t, js, t.TempDir())
	first := r.FirstStart()
	if first.WriteKey == "" || first.WriteKey == lost.WriteKey {
		t.Errorf("no keys were made: %+v", first)
	}
	authenticate(t, r, first.WriteKey, registry.Principal{App: "default", Kind: registry.Write}, true)
}

func TestNoSecondFirstStart(t *testing.T) {
	js, _ := jetStream(t, t.TempDir())
	dir := t.TempDir()
	r := open(t, js, dir)
	if err := r.DeleteApp(t.Context(), appOf(r, "default")); err != nil {
		t.Fatal(err)
	}
	r.Close()
	r = open(t, js, dir)
	if len(r.Apps()) != 0 || r.FirstStart().WriteKey != "" {
		t.Error("an application that was deleted came back")
	}
}

func TestACopyThatCannotBeRead(t *testing.T) {
	for name, content := range map[string]string{
		"empty": "", "cut": `{"version":1,"records":{"app.`, "newer": `{"version":2,"records":{}}`, "twice": `{"version":1,"version":1}`,
	} {
		t.Run(name, func(t *testing.T) {
			js, _ := jetStream(t, t.TempDir())
			_, err := registry.Open(t.Context(), js, registry.Options{Dir: writeCopy(t, content)})
			if err == nil || !strings.Contains(err.Error(), "`eye store recover --forget-metadata --yes`") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestTheCopyFollowsChangesOfOtherNodes(t *testing.T) {
	js, _ := jetStream(t, t.TempDir())
	a, dir := open(t, js, t.TempDir()), t.TempDir()
	open(t, js, dir)
	if _, err := a.CreateApp(t.Context(), "shop", registry.Settings{TimeZone: "Asia/Tokyo"}); err != nil {
		t.Fatal(err)
	}
	within(t, time.Minute, func() bool { return strings.Contains(savedCopy(t, dir), "Asia/Tokyo") })
}

func TestACopyThatCannotBeWrittenIsTriedAgain(t *testing.T) {
	js, _ := jetStream(t, t.TempDir())
	dir := t.TempDir()
	name := filepath.Join(dir, "metadata.json")
	r := openWith(t, js, registry.Options{Dir: dir, KeepInterval: 5 * time.Millisecond})
	if err := errors.Join(os.Remove(name), os.MkdirAll(filepath.Join(name, "in the way"), 0o700)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.CreateApp(t.Context(), "shop", registry.Settings{}); err != nil {
		t.Errorf("the creation ended with %v", err)
	}
	within(t, time.Minute, func() bool { return r.CopyError() != nil })
	if err := os.RemoveAll(name); err != nil {
		t.Fatal(err)
	}
	within(t, time.Minute, func() bool { return strings.Contains(savedCopy(t, dir), `"shop"`) && r.CopyError() == nil })
	// A write that goes on has a temporary file; none may stay.
	within(t, time.Minute, func() bool {
		left, err := filepath.Glob(filepath.Join(dir, "*.tmp"))
		return err == nil && len(left) == 0
	})
}

func TestRecordsThatCannotBeRead(t *testing.T) {
	js, _ := jetStream(t, t.TempDir())
	dir := t.TempDir()
	r := open(t, js, dir)
	kv := bucket(t, js)
	for key, value := range map[string]string{
		"app.00":    `{"app":`,
		"key.00":    `{"key_id":"k","kind":"admin"}`,
		"key.zz":    `{}`,
		"type.00.1": `[]`,
		"type.01.1": `{"category":"c","name":"n","version":1,"schema":{"type":"of a newer server"}}`,
	} {
		if _, err := kv.Put(t.Context(), key, []byte(value)); err != nil {
			t.Fatal(err)
		}
	}
	check := func(r *registry.Registry) {
		t.Helper()
		within(t, time.Minute, func() bool { return r.Type("c", "n") != nil })
		if problems := r.Type("c", "n").Check(map[string]any{}); len(problems) != 1 {
			t.Errorf("a schema that cannot be used let data pass: %v", problems)
		}
		authenticate(t, r, r.FirstStart().AdminKey, registry.Principal{Kind: registry.Admin}, true)
		if len(r.Apps()) != 1 {
			t.Errorf("applications are %+v", r.Apps())
		}
	}
	check(r)
	r.Close()
	check(open(t, js, dir))
}

// Other nodes may remove records by hand.
func TestRecordsThatWereRemoved(t *testing.T) {
	js, _ := jetStream(t, t.TempDir())
	r := open(t, js, t.TempDir())
	if _, _, err := putType(t.Context(), r, "c", "n", []byte(`{}`)); err != nil {
		t.Fatal(err)
	}
	kv := bucket(t, js)
	keys, err := kv.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		if err := kv.Delete(t.Context(), key); err != nil {
			t.Fatal(err)
		}
	}
	within(t, time.Minute, func() bool {
		_, valid := r.Authenticate(r.FirstStart().WriteKey)
		return !valid && len(r.Apps()) == 0 && len(r.Keys("")) == 0 && r.Type("c", "n") == nil
	})
	if _, err := r.CreateApp(t.Context(), "default", registry.Settings{}); err != nil {
		t.Errorf("made again: %v", err)
	}
	if v, _, err := putType(t.Context(), r, "c", "n", []byte(`{}`)); err != nil || v.Version != 1 {
		t.Errorf("made again: %+v %v", v, err)
	}
}

func TestAServerThatDoesNotAnswer(t *testing.T) {
	n, _ := newNode(t, t.TempDir())
	dir := t.TempDir()
	r, other := open(t, n.js, dir), open(t, n.js, t.TempDir())
	secret := r.FirstStart().WriteKey
	n.halt()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, _, err := r.CreateKey(ctx, "default", registry.Write); !errors.Is(err, registry.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	authenticate(t, r, secret, registry.Principal{App: "default", Kind: registry.Write}, true)

	// The server is started again in the same process, and everything goes on.
	n.start()
	started := time.Now()
	within(t, time.Minute, func() bool {
		_, err := r.CreateApp(t.Context(), "shop", registry.Settings{})
		return err == nil || errors.Is(err, registry.ErrExists)
	})
	t.Logf("changes can be made after %v", time.Since(started))
	within(t, time.Minute, func() bool { _, ok := other.App("shop"); return ok })
	t.Logf("the watch is back after %v", time.Since(started))
	start := time.Now()
	if _, err := other.CreateApp(t.Context(), "blog", registry.Settings{}); err != nil {
		t.Fatal(err)
	}
	within(t, time.Minute, func() bool { _, ok := r.App("blog"); return ok })
	t.Logf("a change was seen after %v", time.Since(start))
}
