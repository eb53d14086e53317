package registry_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"theeye/internal/registry"
)

// signIn signs in with a key and returns the login and its token.
func signIn(t testing.TB, r *registry.Registry, secret string) (registry.Login, string) {
	t.Helper()
	l, token, err := r.SignIn(t.Context(), secret, "")
	if err != nil {
		t.Fatal(err)
	}
	return l, token
}

func loggedIn(r *registry.Registry, token string) bool {
	_, _, ok := r.Login(token)
	return ok
}

func newKey(t testing.TB, r *registry.Registry, app string, kind registry.Kind) (id, secret string) {
	t.Helper()
	k, secret, err := r.CreateKey(t.Context(), app, kind)
	if err != nil {
		t.Fatal(err)
	}
	return k.ID, secret
}

func TestLoginHasTheRightsOfItsKey(t *testing.T) {
	r := fresh(t)
	readID, read := newKey(t, r, "default", registry.Read)
	for name, c := range map[string]struct {
		secret string
		want   registry.Principal
	}{
		"a read key":   {read, registry.Principal{App: "default", Kind: registry.Read, KeyID: readID}},
		"an admin key": {r.FirstStart().AdminKey, registry.Principal{Kind: registry.Admin}},
	} {
		l, token := signIn(t, r, c.secret)
		got, who, ok := r.Login(token)
		if c.want.KeyID == "" {
			c.want.KeyID = who.KeyID
		}
		c.want.LoginID = l.ID
		if !ok || who != c.want || got.KeyID != c.want.KeyID || got.Kind != c.want.Kind || got.App != c.want.App {
			t.Errorf("%s: %+v %+v %v", name, got, who, ok)
		}
		if d := time.Until(l.EndsAt); d < 11*time.Hour || d > 12*time.Hour {
			t.Errorf("%s: it ends in %v", name, d)
		}
		if _, ok := r.Authenticate(token); ok {
			t.Errorf("%s: the token is a key", name)
		}
		if loggedIn(r, c.secret) {
			t.Errorf("%s: the key is a token", name)
		}
	}
	for name, secret := range map[string]string{"an unknown key": read + "x", "no key": ""} {
		if _, _, err := r.SignIn(t.Context(), secret, ""); !errors.Is(err, registry.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := r.SignIn(t.Context(), r.FirstStart().WriteKey, ""); !errors.As(err, new(*registry.InvalidError)) {
		t.Errorf("a write key: %v", err)
	}
}

func TestLoginEndsWithItsKey(t *testing.T) {
	r := fresh(t)
	app, err := r.CreateApp(t.Context(), "shop", registry.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	soon := time.Now().Add(500 * time.Millisecond)
	_, other := newKey(t, r, "", registry.Read)
	_, others := signIn(t, r, other)
	for _, c := range []struct {
		name string
		end  func(keyID, loginID string) error
		rule registry.Restrictions
	}{
		{name: "revoked", end: func(id, _ string) error { return r.RevokeKey(t.Context(), "shop", id) }},
		{name: "expired", end: func(string, string) error { return nil }, rule: registry.Restrictions{ExpiresAt: &soon}},
		{name: "signed out", end: func(_, id string) error { return r.EndLogin(t.Context(), id) }},
		{name: "application deleted", end: func(string, string) error { return r.DeleteApp(t.Context(), app) }},
	} {
		k, secret, err := r.CreateRestrictedKey(t.Context(), "shop", registry.Read, c.rule)
		if err != nil {
			t.Fatal(err)
		}
		l, token := signIn(t, r, secret)
		if c.rule.ExpiresAt != nil && !l.EndsAt.Equal(c.rule.ExpiresAt.Truncate(time.Microsecond)) {
			t.Errorf("%s: it says that it ends at %v", c.name, l.EndsAt)
		}
		ctx, release := r.WhileLogin(t.Context(), token)
		if err := c.end(k.ID, l.ID); err != nil {
			t.Fatal(err)
		}
		ended(t, ctx)
		release()
		if loggedIn(r, token) {
			t.Errorf("%s: the login goes on", c.name)
		}
		if err := r.EndLogin(t.Context(), l.ID); !errors.Is(err, registry.ErrNotFound) {
			t.Errorf("%s: ended again: %v", c.name, err)
		}
	}
	if !loggedIn(r, others) {
		t.Error("another key's login has ended too")
	}
}

func TestLoginEndsWhenIdleAndAfterItsTotal(t *testing.T) {
	for name, c := range map[string]struct {
		limits registry.LoginLimits
		active bool
	}{
		"idle":  {registry.LoginLimits{Idle: time.Second}, false},
		"total": {registry.LoginLimits{Idle: 2 * time.Second, Total: 3 * time.Second}, true},
	} {
		js, _ := jetStream(t, t.TempDir())
		r := openWith(t, js, registry.Options{Dir: t.TempDir(), Logins: c.limits, KeepInterval: 100 * time.Millisecond})
		l, token := signIn(t, r, r.FirstStart().AdminKey)
		ctx, release := r.WhileLogin(t.Context(), token)
		defer release()
		began := time.Now()
		within(t, 10*time.Second, func() bool {
			if c.active {
				r.NoteActivity(token)
			}
			return !loggedIn(r, token)
		})
		ended(t, ctx)
		if c.active && time.Since(began) < 2500*time.Millisecond {
			t.Errorf("%s: it ended after %v although it was active", name, time.Since(began))
		}
		if len(r.Logins()) != 0 {
			t.Errorf("%s: it is listed", name)
		}
		within(t, 10*time.Second, func() bool { // nothing of it is kept
			value, err := bucket(t, js).ListKeysFiltered(t.Context(), "logins.*")
			if err != nil {
				t.Fatal(err)
			}
			for key := range value.Keys() {
				entry, err := bucket(t, js).Get(t.Context(), key)
				if err != nil || strings.Contains(string(entry.Value()), l.ID) {
					return false
				}
			}
			return true
		})
	}
}

// The hundred and first login of a key ends the one that has been idle longest.
func TestLoginsOfAKeyAreBounded(t *testing.T) {
	js, _ := jetStream(t, t.TempDir())
	r := open(t, js, t.TempDir())
	_, read := newKey(t, r, "default", registry.Read)
	var tokens []string
	for range 100 {
		_, token := signIn(t, r, read)
		tokens = append(tokens, token)
	}
	last := r.Logins()[0].ActiveAt
	within(t, 10*time.Second, func() bool { // activity counts in seconds
		r.NoteActivity(tokens[0])
		return r.Logins()[0].ActiveAt.After(last)
	})
	_, other := signIn(t, r, r.FirstStart().AdminKey)
	signIn(t, r, read)
	gone := 0
	for _, token := range tokens[1:] {
		if !loggedIn(r, token) {
			gone++
		}
	}
	if !loggedIn(r, tokens[0]) || gone != 1 || !loggedIn(r, other) || len(r.Logins()) != 101 {
		t.Errorf("the active one goes on: %v; %d others ended; another key's: %v; %d in all", loggedIn(r, tokens[0]), gone, loggedIn(r, other), len(r.Logins()))
	}

	// A login that the sign-in replaces makes room for it.
	if _, _, err := r.SignIn(t.Context(), read, tokens[0]); err != nil || loggedIn(r, tokens[0]) || len(r.Logins()) != 101 {
		t.Errorf("the replaced one goes on: %v; %d in all, %v", loggedIn(r, tokens[0]), len(r.Logins()), err)
	}
}

// A restart signs nobody out, and what was ended does not come back, whether the bucket is there or
// was rebuilt from its copy.
func TestLoginsOutliveARestart(t *testing.T) {
	dir := t.TempDir()
	js, stop := jetStream(t, t.TempDir())
	r := open(t, js, dir)
	_, token := signIn(t, r, r.FirstStart().AdminKey)
	over, ended := signIn(t, r, r.FirstStart().AdminKey)
	if err := r.EndLogin(t.Context(), over.ID); err != nil {
		t.Fatal(err)
	}
	id, saved := r.DirectoryID(), savedCopy(t, dir)
	for _, secret := range []string{token, ended} {
		if strings.Contains(saved, secret) {
			t.Error("the copy of the metadata has a token")
		}
	}
	check := func(name string, r *registry.Registry) {
		t.Helper()
		if !loggedIn(r, token) || loggedIn(r, ended) || r.DirectoryID() != id {
			t.Errorf("%s: signed in %v, signed out %v, directory %s, was %s", name, loggedIn(r, token), !loggedIn(r, ended), r.DirectoryID(), id)
		}
	}
	r.Close()
	r = open(t, js, dir)
	check("after a restart", r)
	r.Close()
	stop()
	other, _ := jetStream(t, t.TempDir())
	check("after the loss of the bucket", open(t, other, dir))
}

// Activity is written when the registry is closed, at the latest.
func TestActivityOutlivesARestart(t *testing.T) {
	dir := t.TempDir()
	js, _ := jetStream(t, t.TempDir())
	r := open(t, js, dir)
	l, token := signIn(t, r, r.FirstStart().AdminKey)
	within(t, 10*time.Second, func() bool {
		r.NoteActivity(token)
		now, _, _ := r.Login(token)
		return now.ActiveAt.After(l.ActiveAt)
	})
	r.Close()
	again, _, ok := open(t, js, dir).Login(token)
	if !ok || !again.ActiveAt.After(l.ActiveAt) {
		t.Errorf("active at %v, was %v, %v", again.ActiveAt, l.ActiveAt, ok)
	}
}

// A backup has no logins, no links, and not the id of the directory: whoever signed out stays
// signed out, and a copy on the same host has a cookie of its own.
func TestBackupHasNoLogins(t *testing.T) {
	js, _ := jetStream(t, t.TempDir())
	r := open(t, js, t.TempDir())
	_, token := signIn(t, r, r.FirstStart().AdminKey)
	link, _, err := r.CreateLink(t.Context(), r.FirstStart().AdminKey)
	if err != nil {
		t.Fatal(err)
	}
	document, err := r.Document()
	if err != nil {
		t.Fatal(err)
	}
	if text := string(document); strings.Contains(text, "logins.") || strings.Contains(text, "directory") {
		t.Errorf("the document is %s", text)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "metadata.json"), document, 0o600); err != nil {
		t.Fatal(err)
	}
	other, _ := jetStream(t, t.TempDir())
	c := open(t, other, dir)
	if _, _, err := c.SignInByLink(t.Context(), link, ""); loggedIn(c, token) || !errors.Is(err, registry.ErrNotFound) || c.DirectoryID() == r.DirectoryID() {
		t.Errorf("signed in: %v, by link: %v, directories %s and %s", loggedIn(c, token), err, c.DirectoryID(), r.DirectoryID())
	}
	if !loggedIn(r, token) {
		t.Error("the backup has signed out")
	}
}

// Of those who use a link at the same time, one signs in.
func TestLinkIsUsedOnceRace(t *testing.T) {
	dir := t.TempDir()
	js, _ := jetStream(t, t.TempDir())
	r := open(t, js, dir)
	link, expires, err := r.CreateLink(t.Context(), r.FirstStart().AdminKey)
	if d := time.Until(expires); err != nil || d < 9*time.Minute || d > 10*time.Minute {
		t.Fatalf("it expires in %v, %v", d, err)
	}
	if strings.Contains(savedCopy(t, dir), link) {
		t.Error("the copy of the metadata has the link")
	}
	var signedIn atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			l, token, err := r.SignInByLink(context.Background(), link, "")
			switch {
			case err == nil && l.Kind == registry.Admin && loggedIn(r, token):
				signedIn.Add(1)
			case !errors.Is(err, registry.ErrNotFound):
				t.Errorf("%+v, %v", l, err)
			}
		})
	}
	all.Wait()
	if signedIn.Load() != 1 {
		t.Errorf("%d signed in", signedIn.Load())
	}
}

func TestLinkEnds(t *testing.T) {
	js, _ := jetStream(t, t.TempDir())
	dir := t.TempDir()
	r := openWith(t, js, registry.Options{Dir: dir, Logins: registry.LoginLimits{Link: 300 * time.Millisecond}})
	late, expires, err := r.CreateLink(t.Context(), r.FirstStart().AdminKey)
	if err != nil {
		t.Fatal(err)
	}
	within(t, 10*time.Second, func() bool { return time.Now().After(expires) })
	if _, _, err := r.SignInByLink(t.Context(), late, ""); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("too late: %v", err)
	}
	r.Close()
	r = open(t, js, dir)
	id, admin := newKey(t, r, "", registry.Admin)
	revoked, _, err := r.CreateLink(t.Context(), admin)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.RevokeKey(t.Context(), "", id); err != nil {
		t.Fatal(err)
	}
	_, read := newKey(t, r, "default", registry.Read)
	if _, _, err := r.CreateLink(t.Context(), read); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("a read key makes a link: %v", err)
	}
	for name, link := range map[string]string{"too late": late, "of a revoked key": revoked, "unknown": revoked + "x", "none": "", "a key": admin} {
		if _, _, err := r.SignInByLink(t.Context(), link, ""); !errors.Is(err, registry.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var links []string
	for range 21 {
		link, _, err := r.CreateLink(t.Context(), r.FirstStart().AdminKey)
		if err != nil {
			t.Fatal(err)
		}
		links = append(links, link)
	}
	var got []string
	for _, link := range links {
		_, _, err := r.SignInByLink(t.Context(), link, "")
		got = append(got, fmt.Sprint(err == nil))
	}
	if diff := cmp.Diff(strings.Repeat("false ", 1)+strings.Repeat("true ", 20), strings.Join(got, " ")+" "); diff != "" {
		t.Error(diff)
	}
}

// A login made with an admin key from the settings ends when the settings have another one, although
// both have the same id.
func TestLoginEndsWithTheAdminKeyOfTheSettings(t *testing.T) {
	js, _ := jetStream(t, t.TempDir())
	dir := t.TempDir()
	first, second := strings.Repeat("a", 30), strings.Repeat("b", 30)
	r := openWith(t, js, registry.Options{Dir: dir, AdminKey: first})
	_, token := signIn(t, r, first)
	r.Close()
	r = openWith(t, js, registry.Options{Dir: dir, AdminKey: first})
	if !loggedIn(r, token) {
		t.Error("it ended with the restart")
	}
	r.Close()
	if r = openWith(t, js, registry.Options{Dir: dir, AdminKey: second}); loggedIn(r, token) {
		t.Error("it goes on with another key")
	}
}

// A record that cannot be read signs out those it had, and does not keep anyone from signing in.
func TestDamagedLoginsEnd(t *testing.T) {
	js, _ := jetStream(t, t.TempDir())
	r := open(t, js, t.TempDir())
	_, token := signIn(t, r, r.FirstStart().AdminKey)
	kv := bucket(t, js)
	keys, err := kv.ListKeysFiltered(t.Context(), "logins.*")
	if err != nil {
		t.Fatal(err)
	}
	for key := range keys.Keys() {
		if _, err := kv.PutString(t.Context(), key, "damaged"); err != nil {
			t.Fatal(err)
		}
	}
	within(t, 5*time.Second, func() bool { return !loggedIn(r, token) })
	if _, next := signIn(t, r, r.FirstStart().AdminKey); !loggedIn(r, next) {
		t.Error("nobody can sign in")
	}
}
