package registry_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"theeye/internal/registry"
)

// restricted makes a write key of the application "default".
func restricted(t *testing.T, r *registry.Registry, rules registry.Restrictions) (registry.Key, string) {
	t.Helper()
	k, secret, err := r.CreateRestrictedKey(t.Context(), registry.DefaultApp, registry.Write, rules)
	if err != nil {
		t.Fatal(err)
	}
	return k, secret
}

func TestOriginsAreKeptAsBrowsersSendThem(t *testing.T) {
	r := fresh(t)
	long := strings.Repeat("a", 300)
	for given, want := range map[string]string{
		"https://shop.example.com":       "https://shop.example.com",
		"HTTPS://Shop.Example.COM":       "https://shop.example.com",
		"https://shop.example.com:443":   "https://shop.example.com",
		"http://shop.example.com:80":     "http://shop.example.com",
		"http://shop.example.com:443":    "http://shop.example.com:443",
		"https://shop.example.com:08443": "https://shop.example.com:8443",
		"http://localhost:5173":          "http://localhost:5173",
		"http://127.0.0.1:8080":          "http://127.0.0.1:8080",
		"http://[2001:DB8:0::1]:8080":    "http://[2001:db8::1]:8080",
		"capacitor://localhost":          "capacitor://localhost",
		"https://xn--bcher-kva.example":  "https://xn--bcher-kva.example",

		"":                               "write scheme://host",
		"shop.example.com":               "write scheme://host",
		"//shop.example.com":             "write scheme://host",
		"https://":                       "write scheme://host",
		"https://shop.example.com:":      "write scheme://host",
		"file:///home":                   "write scheme://host",
		"null":                           "allow everyone",
		"*":                              "no wildcards",
		"https://*.example.com":          "no wildcards",
		"https://shop.example.com/":      "without a slash",
		"https://shop.example.com/path":  "without a slash",
		"https://shop.example.com?q":     "without a slash",
		"https://shop.example.com?":      "without a slash",
		"https://shop.example.com#":      "without a slash",
		"https://user@shop.example.com":  "without a slash",
		"https://shop.example.com:0":     "1 to 65535",
		"https://shop.example.com:70000": "1 to 65535",
		"https://bücher.example":         "xn--",
		"https://shop example.com":       "scheme://host",
		"https://a,b.example":            "is not allowed in a host",
		"https://[fe80::1%25eth0]":       "IPv6",
		"https://" + long:                "longer than 300 bytes",
	} {
		k, _, err := r.CreateRestrictedKey(t.Context(), registry.DefaultApp, registry.Write, registry.Restrictions{Origins: []string{given}})
		var invalid *registry.InvalidError
		switch {
		case errors.As(err, &invalid):
			if invalid.Field != "origins" || !strings.Contains(err.Error(), want) {
				t.Errorf("%.40q: %v, want %q", given, err, want)
			}
		case err != nil:
			t.Fatal(err)
		case len(k.Origins) != 1 || k.Origins[0] != want:
			t.Errorf("%.40q is kept as %q, want %q", given, k.Origins, want)
		}
	}
}

func TestRestrictionsThatCannotBe(t *testing.T) {
	r := fresh(t)
	some := []string{"https://shop.example.com"}
	many := make([]string, registry.MaxOrigins+1)
	for i := range many {
		many[i] = fmt.Sprintf("https://shop-%d.example.com", i)
	}
	past, later := time.Now().Add(-time.Second), time.Now().Add(time.Hour)
	for name, c := range map[string]struct {
		app   string
		kind  registry.Kind
		rules registry.Restrictions
		field string
	}{
		"past":                   {registry.DefaultApp, registry.Write, registry.Restrictions{ExpiresAt: &past}, "expires_at"},
		"no origins":             {registry.DefaultApp, registry.Write, registry.Restrictions{Origins: []string{}}, "origins"},
		"too many origins":       {registry.DefaultApp, registry.Write, registry.Restrictions{Origins: many}, "origins"},
		"origins for reading":    {registry.DefaultApp, registry.Read, registry.Restrictions{Origins: some}, "origins"},
		"origins for an admin":   {"", registry.Admin, registry.Restrictions{Origins: some}, "origins"},
		"signing for reading":    {registry.DefaultApp, registry.Read, registry.Restrictions{Signing: true}, "signing"},
		"signing in the browser": {registry.DefaultApp, registry.Write, registry.Restrictions{Signing: true, Origins: some}, "signing"},
	} {
		var invalid *registry.InvalidError
		if _, _, err := r.CreateRestrictedKey(t.Context(), c.app, c.kind, c.rules); !errors.As(err, &invalid) || invalid.Field != c.field {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := r.CreateRestrictedKey(t.Context(), "", registry.Read, registry.Restrictions{ExpiresAt: &later}); err != nil {
		t.Errorf("a read key that expires: %v", err)
	}
	restricted(t, r, registry.Restrictions{Origins: many[1:]})
}

func TestAKeyExpires(t *testing.T) {
	r := fresh(t)
	at := time.Now().Add(3 * time.Second)
	named := []string{"https://shop.example.com"}
	k, secret := restricted(t, r, registry.Restrictions{ExpiresAt: &at, Origins: named})
	_, peeked := r.Peek(secret)
	who, ok := r.Authenticate(secret)
	if !ok || !peeked || !r.OriginNamed(named[0]) {
		t.Fatalf("not valid before it expires: %+v", who)
	}
	within(t, time.Minute, func() bool { _, ok := r.Authenticate(secret); return !ok })
	if time.Now().Before(*k.ExpiresAt) {
		t.Errorf("it ended before %v", k.ExpiresAt)
	}
	if _, ok := r.Peek(secret); ok || r.OriginNamed(named[0]) {
		t.Error("its origins count after it expired")
	}
	if keys := r.Keys(registry.DefaultApp); keys[len(keys)-1].ID != k.ID || !keys[len(keys)-1].ExpiresAt.Equal(*k.ExpiresAt) {
		t.Errorf("it is not listed any more: %+v", keys)
	}
}

// What a key is restricted to is in force on each node, after a restart, and after the bucket was
// made again from metadata.json.
func TestRestrictionsOutliveTheBucket(t *testing.T) {
	js, stop := jetStream(t, t.TempDir())
	dir := t.TempDir()
	r := open(t, js, dir)
	later := time.Now().Add(time.Hour)
	browser, inBrowser := restricted(t, r, registry.Restrictions{ExpiresAt: &later, Origins: []string{"https://b.example", "https://a.example:8443", "https://b.example"}})
	server, onServer := restricted(t, r, registry.Restrictions{Signing: true})
	check := func(name string, r *registry.Registry) {
		t.Helper()
		var got []registry.Restrictions
		for _, k := range r.Keys(registry.DefaultApp) {
			if k.ID == browser.ID || k.ID == server.ID {
				got = append(got, k.Restrictions)
			}
		}
		at := later.UTC().Truncate(time.Microsecond)
		want := []registry.Restrictions{{ExpiresAt: &at, Origins: []string{"https://a.example:8443", "https://b.example"}}, {Signing: true}}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: (-want +got)\n%s", name, d)
		}
		who, ok := r.Authenticate(inBrowser)
		if !ok || !who.AllowsOrigin("https://b.example") || who.AllowsOrigin("") || who.AllowsOrigin("https://b.example.evil") || who.Signing {
			t.Errorf("%s, in the browser: %+v %v", name, who, ok)
		}
		who, ok = r.Authenticate(onServer)
		if !ok || !who.AllowsOrigin("") || !who.AllowsOrigin("https://anything") || who.NamesOrigin("https://anything") || !who.Signing {
			t.Errorf("%s, on the server: %+v %v", name, who, ok)
		}
		for origin, want := range map[string]bool{"https://a.example:8443": true, "https://a.example": false, "": false, "null": false} {
			if r.OriginNamed(origin) != want {
				t.Errorf("%s: %q is named: %v", name, origin, !want)
			}
		}
	}
	check("at once", r)
	check("another node", open(t, js, t.TempDir()))
	r.Close()
	check("after a restart", open(t, js, dir))
	stop()
	js, _ = jetStream(t, filepath.Join(t.TempDir(), "empty"))
	r = open(t, js, dir)
	check("from metadata.json", r)
	if err := r.RevokeKey(t.Context(), registry.DefaultApp, browser.ID); err != nil {
		t.Fatal(err)
	}
	if r.OriginNamed("https://b.example") {
		t.Error("the origin of a revoked key is still named")
	}
	if text := read(t, filepath.Join(dir, "metadata.json")); strings.Contains(text, inBrowser) || strings.Contains(text, onServer) || strings.Contains(text, string(registry.SigningKey(onServer))) {
		t.Error("a secret is kept")
	}
}

func TestSigningKeysFollowFromSecrets(t *testing.T) {
	a, b := registry.SigningKey("eye_w_one"), registry.SigningKey("eye_w_two")
	if string(a) != string(registry.SigningKey("eye_w_one")) || string(a) == string(b) || len(a) != 32 {
		t.Errorf("%x %x", a, b)
	}
}

func TestAPreflightIsNoUseOfAKey(t *testing.T) {
	r := fresh(t)
	_, secret := restricted(t, r, registry.Restrictions{Origins: []string{"https://shop.example.com"}})
	last := func() *time.Time { keys := r.Keys(registry.DefaultApp); return keys[len(keys)-1].LastUsedAt }
	r.Peek(secret)
	r.OriginNamed("https://shop.example.com")
	if last() != nil {
		t.Error("asking is noted as a use")
	}
	r.Authenticate(secret)
	if last() == nil {
		t.Error("a use is not noted")
	}
}
