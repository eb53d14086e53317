package registry_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"theeye/internal/registry"
	"theeye/internal/schema"
)

func TestFirstStartMakesAnApplicationWithKeys(t *testing.T) {
	r := fresh(t)
	first := r.FirstStart()
	form := regexp.MustCompile(`^eye_[wra]_[0-9A-Za-z]{43}_[0-9A-Za-z]{6}$`)
	for _, secret := range []string{first.WriteKey, first.ReadKey, first.AdminKey} {
		if !form.MatchString(secret) {
			t.Errorf("%q has not the form of a key", secret)
		}
	}
	authenticate(t, r, first.WriteKey, registry.Principal{App: "default", Kind: registry.Write}, true)
	authenticate(t, r, first.ReadKey, registry.Principal{App: "default", Kind: registry.Read}, true)
	authenticate(t, r, first.AdminKey, registry.Principal{Kind: registry.Admin}, true)
	authenticate(t, r, "", registry.Principal{}, false)
	authenticate(t, r, first.WriteKey+"x", registry.Principal{}, false)
}

func TestEverythingIsThereAfterARestart(t *testing.T) {
	folder, dir := t.TempDir(), t.TempDir()
	js, stop := jetStream(t, folder)
	r := open(t, js, dir)
	if _, err := r.CreateApp(t.Context(), "shop", registry.Settings{TimeZone: "Europe/Berlin", UnknownTypes: registry.RejectUnknown}); err != nil {
		t.Fatal(err)
	}
	k, secret, err := r.CreateKey(t.Context(), "shop", registry.Write)
	if err != nil {
		t.Fatal(err)
	}
	gone, revoked, err := r.CreateKey(t.Context(), "", registry.Read)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.RevokeKey(t.Context(), "", gone.ID); err != nil {
		t.Fatal(err)
	}
	if _, _, err := putType(t.Context(), r, "c", "n", []byte(`{"type":"object"}`)); err != nil {
		t.Fatal(err)
	}
	check := func(r *registry.Registry) {
		t.Helper()
		app, ok := r.App("shop")
		if !ok || app.Location().String() != "Europe/Berlin" || app.UnknownTypes != registry.RejectUnknown {
			t.Errorf("application is %+v, %v", app, ok)
		}
		authenticate(t, r, secret, registry.Principal{App: "shop", Kind: registry.Write}, true)
		authenticate(t, r, revoked, registry.Principal{}, false)
		if keys := r.Keys("shop"); len(keys) != 1 || keys[0].ID != k.ID {
			t.Errorf("keys are %+v", keys)
		}
		if typ := r.Type("c", "n"); typ == nil || typ.Version != 1 {
			t.Errorf("type is %+v", typ)
		}
	}
	check(r)
	r.Close()
	stop()

	js, stop = jetStream(t, folder)
	r = open(t, js, dir)
	if r.FirstStart().WriteKey != "" || r.FirstStart().AdminKeyMade {
		t.Error("the second start was taken for the first")
	}
	check(r)
	r.Close()
	stop()

	// The bucket is lost; the file brings everything back.
	js, stop = jetStream(t, t.TempDir())
	defer stop()
	r = open(t, js, dir)
	check(r)
	r.Close()
}

func TestNoSecretIsKept(t *testing.T) {
	folder, dir := t.TempDir(), t.TempDir()
	js, stop := jetStream(t, folder)
	r := open(t, js, dir)
	secrets := []string{r.FirstStart().WriteKey, r.FirstStart().ReadKey, r.FirstStart().AdminKey}
	for _, kind := range []registry.Kind{registry.Read, registry.Admin} {
		_, secret, err := r.CreateKey(t.Context(), "", kind)
		if err != nil {
			t.Fatal(err)
		}
		secrets = append(secrets, secret)
	}
	r.Close()
	stop()
	for _, root := range []string{folder, dir} {
		err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || filepath.Base(name) == "admin.key" {
				return err
			}
			b, err := os.ReadFile(name)
			for _, secret := range secrets {
				if strings.Contains(string(b), secret[6:]) {
					t.Errorf("%s holds a secret", filepath.Base(name))
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if info, err := os.Stat(filepath.Join(dir, "admin.key")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("admin.key: %v, %v", info.Mode(), err)
	}
}

func TestApplications(t *testing.T) {
	r := fresh(t)
	ctx := t.Context()
	var invalid *registry.InvalidError
	for _, name := range []string{"", "Shop", "-x", strings.Repeat("a", 65), "a b", "a/b"} {
		if _, err := r.CreateApp(ctx, name, registry.Settings{}); !errors.As(err, &invalid) {
			t.Errorf("%q: %v", name, err)
		}
	}
	if _, err := r.CreateApp(ctx, "shop", registry.Settings{TimeZone: "Mars/Olympus"}); !errors.As(err, &invalid) {
		t.Errorf("zone: %v", err)
	}
	if _, err := r.CreateApp(ctx, "shop", registry.Settings{}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.CreateApp(ctx, "shop", registry.Settings{TimeZone: "Asia/Tokyo"}); !errors.Is(err, registry.ErrExists) {
		t.Errorf("again: %v", err)
	}
	if app, _ := r.App("shop"); app.TimeZone != "UTC" {
		t.Errorf("a refused creation changed the zone to %s", app.TimeZone)
	}
	_, secret, err := r.CreateKey(ctx, "shop", registry.Write)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.DeleteApp(ctx, appOf(r, "shop")); err != nil {
		t.Fatal(err)
	}
	authenticate(t, r, secret, registry.Principal{}, false)
	if _, err := r.CreateApp(ctx, "shop", registry.Settings{}); err != nil {
		t.Errorf("made again: %v", err)
	}
	authenticate(t, r, secret, registry.Principal{}, false)
	if err := r.DeleteApp(ctx, appOf(r, "none")); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("deleting what is not there: %v", err)
	}
}

func TestKeysAreRefusedWhereTheyMakeNoSense(t *testing.T) {
	r := fresh(t)
	var invalid *registry.InvalidError
	for _, c := range []struct {
		app  string
		kind registry.Kind
	}{{"", registry.Write}, {"default", registry.Admin}, {"default", "other"}} {
		if _, _, err := r.CreateKey(t.Context(), c.app, c.kind); !errors.As(err, &invalid) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	if _, _, err := r.CreateKey(t.Context(), "none", registry.Read); !errors.Is(err, registry.ErrNotFound) {
		t.Error(err)
	}
	if err := r.RevokeKey(t.Context(), "default", "none"); !errors.Is(err, registry.ErrNotFound) {
		t.Error(err)
	}
}

func TestVersionsOfAType(t *testing.T) {
	r := fresh(t)
	ctx := t.Context()
	put := func(document string, want uint32, made bool) {
		t.Helper()
		v, gotMade, err := putType(ctx, r, "page interaction", "cta/click", []byte(document))
		if err != nil || v.Version != want || gotMade != made {
			t.Errorf("version %d made %v, want %d %v (%v)", v.Version, gotMade, want, made, err)
		}
	}
	put(`{"type":"object","required":["a"]}`, 1, true)
	put(`{ "required":["a"], "type":"object"}`, 1, false)
	var refused *schema.CompileError
	if _, _, err := putType(ctx, r, "page interaction", "cta/click", []byte(`{"type":"nonsense"}`)); !errors.As(err, &refused) {
		t.Errorf("a wrong schema: %v", err)
	}
	put(`{"type":"object"}`, 2, true)
	put(`{"type":"object","required":["a"]}`, 3, true)
	if err := r.DeleteType(ctx, "page interaction", "cta/click"); err != nil {
		t.Fatal(err)
	}
	if r.Type("page interaction", "cta/click") != nil || len(r.Types()) != 0 {
		t.Error("a deleted type is in force")
	}
	if err := r.DeleteType(ctx, "page interaction", "cta/click"); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("deleted twice: %v", err)
	}
	put(`{"type":"object","required":["a"]}`, 4, true)
}

func TestTwoNodesSeeEachOther(t *testing.T) {
	js, stop := jetStream(t, t.TempDir())
	t.Cleanup(stop)
	a, b := open(t, js, t.TempDir()), open(t, js, t.TempDir())
	_, secret, err := a.CreateKey(t.Context(), "default", registry.Write)
	if err != nil {
		t.Fatal(err)
	}
	within(t, time.Minute, func() bool { _, ok := b.Authenticate(secret); return ok })
	keys := a.Keys("default")
	if err := b.RevokeKey(t.Context(), "default", keys[len(keys)-1].ID); err != nil {
		t.Fatal(err)
	}
	authenticate(t, b, secret, registry.Principal{}, false)
	within(t, time.Minute, func() bool { _, ok := a.Authenticate(secret); return !ok })

	var wg sync.WaitGroup
	var made, refused int
	var mu sync.Mutex
	for _, r := range []*registry.Registry{a, b} {
		for range 8 {
			wg.Go(func() {
				_, err := r.CreateApp(context.Background(), "shop", registry.Settings{})
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					made++
				} else if errors.Is(err, registry.ErrExists) {
					refused++
				}
			})
		}
	}
	wg.Wait()
	if diff := cmp.Diff([]int{1, 15}, []int{made, refused}); diff != "" {
		t.Error(diff)
	}
}

// A deletion is of the application that was found, not of whichever has its name by the time it
// comes.
func TestDeletionIsOfOneApplication(t *testing.T) {
	r := fresh(t)
	ctx := t.Context()
	found, err := r.CreateApp(ctx, "shop", registry.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	erasing, err := r.EraseApp(ctx, "shop")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.DeleteApp(ctx, found); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("one that is being erased was deleted as one that is not: %v", err)
	}
	if _, _, err := r.CreateKey(ctx, "shop", registry.Read); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("it got a key: %v", err)
	}
	if err := r.DeleteApp(ctx, erasing); err != nil {
		t.Fatal(err)
	}
	if _, err := r.CreateApp(ctx, "shop", registry.Settings{}); err != nil {
		t.Fatal(err)
	}
	for _, before := range []registry.App{found, erasing} {
		if err := r.DeleteApp(ctx, before); !errors.Is(err, registry.ErrNotFound) {
			t.Errorf("its successor was deleted: %v", err)
		}
	}
	if _, ok := r.App("shop"); !ok {
		t.Error("the successor is gone")
	}
}
