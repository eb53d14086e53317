package registry_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"theeye/internal/registry"
)

// two opens two registries on one server.
func two(t *testing.T) (a, b *registry.Registry) {
	t.Helper()
	js, _ := jetStream(t, t.TempDir())
	return open(t, js, t.TempDir()), open(t, js, t.TempDir())
}

func TestChangesOfBothNodesAreKept(t *testing.T) {
	a, b := two(t)
	var wg sync.WaitGroup
	for i, r := range []*registry.Registry{a, b} {
		for j := range 10 {
			wg.Go(func() {
				_, err := r.UpdateApp(t.Context(), "default", func(s *registry.Settings) {
					if i == 0 {
						s.TimeZone = "Asia/Tokyo"
					} else {
						s.UnknownTypes = registry.RejectUnknown
					}
				})
				if err != nil {
					t.Errorf("change %d of node %d: %v", j, i, err)
				}
			})
		}
	}
	wg.Wait()
	want := registry.Settings{TimeZone: "Asia/Tokyo", UnknownTypes: registry.RejectUnknown}
	for _, r := range []*registry.Registry{a, b} {
		within(t, time.Minute, func() bool { app, _ := r.App("default"); return app.Settings == want })
	}
}

func TestVersionsOfBothNodesAreOneAfterTheOther(t *testing.T) {
	a, b := two(t)
	const each = 10
	versions := make([][]uint32, 2)
	var wg sync.WaitGroup
	for i, r := range []*registry.Registry{a, b} {
		wg.Go(func() {
			for j := range each {
				document := fmt.Sprintf(`{"title":"%d of %d"}`, j, i)
				v, made, err := putType(t.Context(), r, "c", "n", []byte(document))
				if err != nil || !made || string(v.Schema) != document {
					t.Errorf("got %+v %v %v", v, made, err)
				}
				if typ := r.Type("c", "n"); typ == nil || typ.Version < v.Version {
					t.Errorf("version %d is not in force on the node that made it: %+v", v.Version, typ)
				}
				versions[i] = append(versions[i], v.Version)
			}
		})
	}
	wg.Wait()
	all := slices.Sorted(slices.Values(slices.Concat(versions...)))
	var want []uint32
	for v := range uint32(2 * each) {
		want = append(want, v+1)
	}
	if diff := cmp.Diff(want, all); diff != "" {
		t.Errorf("versions (-want +got):\n%s", diff)
	}
	for _, r := range []*registry.Registry{a, b} {
		within(t, time.Minute, func() bool { v, err := r.TypeVersions("c", "n"); return err == nil && len(v) == 2*each })
	}
}

func TestOneSchemaPutOnBothNodesIsOneVersion(t *testing.T) {
	a, b := two(t)
	for i := range 5 {
		name := fmt.Sprintf("n%d", i)
		var made [2]bool
		var wg sync.WaitGroup
		for i, r := range []*registry.Registry{a, b} {
			wg.Go(func() {
				v, m, err := putType(t.Context(), r, "c", name, []byte(`{"type":"object"}`))
				if err != nil || v.Version != 1 {
					t.Errorf("got %+v, %v", v, err)
				}
				made[i] = m
			})
		}
		wg.Wait()
		if made[0] == made[1] {
			t.Errorf("made is %v", made)
		}
	}
}

// A key that is made on one node while another deletes its application must not come to life when
// the name is used again.
func TestKeysOfAnApplicationThatIsGoneStayInvalid(t *testing.T) {
	a, b := two(t)
	if _, err := a.CreateApp(t.Context(), "shop", registry.Settings{}); err != nil {
		t.Fatal(err)
	}
	within(t, time.Minute, func() bool { _, ok := b.App("shop"); return ok })
	var mu sync.Mutex
	var secrets []string
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			_, secret, err := b.CreateKey(t.Context(), "shop", registry.Write)
			if err != nil && !errors.Is(err, registry.ErrNotFound) {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			secrets = append(secrets, secret)
		})
	}
	if err := a.DeleteApp(t.Context(), appOf(a, "shop")); err != nil {
		t.Fatal(err)
	}
	if _, err := a.CreateApp(t.Context(), "shop", registry.Settings{}); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	_, last, err := a.CreateKey(t.Context(), "shop", registry.Read)
	if err != nil {
		t.Fatal(err)
	}
	within(t, time.Minute, func() bool { _, ok := b.Authenticate(last); return ok })
	for _, r := range []*registry.Registry{a, b} {
		valid := 0
		for _, secret := range secrets {
			if _, ok := r.Authenticate(secret); ok {
				valid++ // made by b after it saw the new application
			}
		}
		if keys := len(r.Keys("shop")); keys != valid+1 {
			t.Errorf("%d keys are listed, %d are valid", keys, valid+1)
		}
	}
}

func TestVersionsOfADeletedTypeCanBeRead(t *testing.T) {
	r := fresh(t)
	if _, err := r.TypeVersions("c", "n"); !errors.Is(err, registry.ErrNotFound) {
		t.Error(err)
	}
	for _, document := range []string{`{"maximum":9007199254740992}`, `{"maximum":9007199254740993}`} {
		if _, made, err := putType(t.Context(), r, "c", "n", []byte(document)); err != nil || !made {
			t.Errorf("%s: %v %v", document, made, err)
		}
	}
	if err := r.DeleteType(t.Context(), "c", "n"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.TypeVersion("c", "n"); !errors.Is(err, registry.ErrNotFound) {
		t.Error(err)
	}
	versions, err := r.TypeVersions("c", "n")
	if err != nil || len(versions) != 2 || string(versions[0].Schema) != `{"maximum":9007199254740992}` || versions[1].DeletedAt == nil {
		t.Errorf("got %+v, %v", versions, err)
	}
}

// Reading goes on, without locks, while everything changes.
func TestReadingWhileWriting(t *testing.T) {
	a, b := two(t)
	secret := a.FirstStart().WriteKey
	within(t, time.Minute, func() bool { _, ok := b.Authenticate(secret); return ok })
	done := make(chan struct{})
	var readers sync.WaitGroup
	for _, r := range []*registry.Registry{a, b} {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if _, ok := r.Authenticate(secret); !ok {
					t.Error("a key that nobody revoked is not valid")
					return
				}
				app, ok := r.App("default")
				if !ok || app.Location().String() != app.TimeZone {
					t.Errorf("application is %+v", app)
				}
				if typ := r.Type("c", "n"); typ != nil {
					typ.Check(map[string]any{})
				}
				r.Keys("default")
				r.Types()
			}
		})
	}
	for i := range 20 {
		zone := []string{"UTC", "Asia/Tokyo"}[i%2]
		_, err := a.UpdateApp(t.Context(), "default", func(s *registry.Settings) { s.TimeZone = zone })
		_, _, keyErr := b.CreateKey(t.Context(), "default", registry.Read)
		_, _, typeErr := putType(t.Context(), b, "c", "n", []byte(fmt.Sprintf(`{"title":"%d"}`, i)))
		if err := errors.Join(err, keyErr, typeErr); err != nil {
			t.Error(err)
		}
	}
	close(done)
	readers.Wait()
}

func TestFilesAreForTheirOwnerOnly(t *testing.T) {
	js, _ := jetStream(t, t.TempDir())
	dir := t.TempDir()
	open(t, js, dir)
	for _, name := range []string{"admin.key", "metadata.json"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
}
