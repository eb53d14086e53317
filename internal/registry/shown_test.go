package registry_test

import (
	"slices"
	"testing"

	"theeye/internal/registry"
)

// The keys of a first start that were not shown are revoked at the next start, which makes others,
// and no keys but those.
func TestUnshownKeysAreReplaced(t *testing.T) {
	js, _ := jetStream(t, t.TempDir())
	dir := t.TempDir()
	openOnce := func(opts registry.Options) *registry.Registry {
		t.Helper()
		opts.Dir = dir
		r, err := registry.Open(t.Context(), js, opts)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(r.Close)
		return r
	}
	valid := func(r *registry.Registry) int {
		return len(slices.DeleteFunc(r.Keys(registry.DefaultApp), func(k registry.Key) bool { return k.RevokedAt != nil }))
	}
	var write, read, admin []string
	var r *registry.Registry
	check := func() {
		t.Helper()
		first := r.FirstStart()
		if !first.Made || first.WriteKey == "" || first.ReadKey == "" || valid(r) != 2 {
			t.Errorf("%+v, %d keys", first, valid(r))
		}
		for i := range write {
			authenticate(t, r, write[i], registry.Principal{}, false)
			authenticate(t, r, read[i], registry.Principal{}, false)
			authenticate(t, r, admin[i], registry.Principal{Kind: registry.Admin}, true)
		}
		authenticate(t, r, first.WriteKey, registry.Principal{App: "default", Kind: registry.Write}, true)
		authenticate(t, r, first.ReadKey, registry.Principal{App: "default", Kind: registry.Read}, true)
		write, read, admin = append(write, first.WriteKey), append(read, first.ReadKey), append(admin, first.AdminKey)
	}
	for range 3 {
		r = openOnce(registry.Options{})
		check()
		r.Close()
	}
	// An interruption before the first start was complete is no other case.
	if err := bucket(t, js).Purge(t.Context(), "state"); err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	admin = admin[:0]
	r = openOnce(registry.Options{})
	admin = append(admin, slices.Repeat([]string{r.FirstStart().AdminKey}, len(write))...)
	check()
	if err := r.FirstKeysShown(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.Close()
	r = openOnce(registry.Options{})
	if first := r.FirstStart(); first.Made || first.WriteKey != "" || valid(r) != 2 {
		t.Errorf("keys that were shown: %+v, %d keys", first, valid(r))
	}
	authenticate(t, r, write[len(write)-1], registry.Principal{App: "default", Kind: registry.Write}, true)
}

// Where no keys are shown, those that could not be shown are revoked alone.
func TestUnshownKeysAreRevokedWhereNoneAreShown(t *testing.T) {
	js, _ := jetStream(t, t.TempDir())
	dir := t.TempDir()
	for i, opts := range []registry.Options{{}, {WithoutKeys: true}, {}} {
		opts.Dir = dir
		r, err := registry.Open(t.Context(), js, opts)
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range r.Keys(registry.DefaultApp) {
			if valid := k.RevokedAt == nil; valid != (i == 0) {
				t.Errorf("start %d: key %+v", i, k)
			}
		}
		if first := r.FirstStart(); first.Made != (i < 2) || (first.WriteKey == "") != (i > 0) {
			t.Errorf("start %d: %+v", i, first)
		}
		r.Close()
	}
}
