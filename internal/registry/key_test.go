package registry_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"theeye/internal/registry"
)

func TestParseKey(t *testing.T) {
	r := fresh(t)
	first := r.FirstStart()
	for secret, want := range map[string]registry.Kind{
		first.WriteKey: registry.Write, first.ReadKey: registry.Read, first.AdminKey: registry.Admin,
	} {
		if kind, ok := registry.ParseKey(secret); !ok || kind != want {
			t.Errorf("%v %v, want %v", kind, ok, want)
		}
	}
	good := first.WriteKey
	swap := strings.NewReplacer("0", "1", "A", "B", "a", "b")
	for name, secret := range map[string]string{
		"nothing": "", "short": "eye", "cut": good[:len(good)-1], "longer": good + "x",
		"another kind": "eye_r_" + good[6:], "unknown kind": "eye_x_" + good[6:],
		"another digit": good[:10] + swap.Replace(good[10:11] + "0")[:1] + "_" + good[12:],
		"wrong check":   good[:len(good)-1] + string(good[len(good)-1]^1),
		"odd character": good[:10] + "-" + good[11:], "upper case": "EYE" + good[3:],
		"seven": "0000000", "eight": "_0000000",
	} {
		if kind, ok := registry.ParseKey(secret); ok {
			t.Errorf("%s: %q taken as a %s key", name, secret, kind)
		}
	}
}

func FuzzParseKey(f *testing.F) {
	f.Add("eye_w_0000000000000000000000000000000000000000000_000000")
	f.Add("eye_a_")
	f.Fuzz(func(t *testing.T, secret string) {
		kind, ok := registry.ParseKey(secret)
		if ok && (len(secret) != 56 || !strings.HasPrefix(secret, "eye_"+string(kind)[:1]+"_")) {
			t.Errorf("%q taken as a %s key", secret, kind)
		}
	})
}

func TestAKeyCanBeRevokedWhileTheStreamOfEventsIsFull(t *testing.T) {
	js, _ := jetStream(t, t.TempDir())
	events, err := js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: "EVENTS", Subjects: []string{"events"}, MaxBytes: 256 << 10, Discard: jetstream.DiscardNew,
	})
	if err != nil {
		t.Fatal(err)
	}
	r := open(t, js, t.TempDir())
	for err == nil {
		_, err = js.Publish(t.Context(), "events", make([]byte, 64<<10))
	}
	if info, infoErr := events.Info(t.Context()); infoErr != nil || info.State.Msgs == 0 {
		t.Fatal(infoErr)
	}
	secret := r.FirstStart().WriteKey
	authenticate(t, r, secret, registry.Principal{App: "default", Kind: registry.Write}, true)
	revoke(t, r, secret)
	authenticate(t, r, secret, registry.Principal{}, false)
}

// revoke revokes the key of a secret.
func revoke(t *testing.T, r *registry.Registry, secret string) {
	t.Helper()
	who, ok := r.Authenticate(secret)
	if !ok {
		t.Fatal("the key is not valid")
	}
	if err := r.RevokeKey(t.Context(), who.App, who.KeyID); err != nil {
		t.Fatal(err)
	}
}

func TestThereIsRoomToRevokeWhenNothingMoreCanBeMade(t *testing.T) {
	js, _ := jetStream(t, t.TempDir())
	r := openWith(t, js, registry.Options{Dir: t.TempDir(), MaxBytes: 1 << 20})
	var invalid *registry.InvalidError
	for i := 0; invalid == nil; i++ {
		document := fmt.Sprintf(`{"title":"%d %s"}`, i, strings.Repeat("x", 50_000))
		if _, _, err := putType(t.Context(), r, "c", "n", []byte(document)); err != nil && !errors.As(err, &invalid) {
			t.Fatal(err)
		}
	}
	if _, err := r.CreateApp(t.Context(), "shop", registry.Settings{}); !errors.As(err, &invalid) {
		t.Errorf("application: %v", err)
	}
	if _, _, err := r.CreateKey(t.Context(), "", registry.Read); !errors.As(err, &invalid) {
		t.Errorf("key: %v", err)
	}
	if _, _, err := putType(t.Context(), r, "c", "m", []byte(`{}`)); !errors.As(err, &invalid) {
		t.Errorf("type: %v", err)
	}
	revoke(t, r, r.FirstStart().WriteKey)
}

func TestTheAdminKeyInTheFile(t *testing.T) {
	js, _ := jetStream(t, t.TempDir())
	dir := t.TempDir()
	name := filepath.Join(dir, "admin.key")
	r := open(t, js, dir)
	old := r.FirstStart().AdminKey
	if read(t, name) != old+"\n" || !r.FirstStart().AdminKeyMade {
		t.Error("the file does not hold the key")
	}
	who, _ := r.Authenticate(old)
	var invalid *registry.InvalidError
	if err := r.RevokeKey(t.Context(), "", who.KeyID); !errors.As(err, &invalid) {
		t.Errorf("the key of this server was revoked: %v", err)
	}
	r.Close()

	// The file is lost: another is made, and the old one is valid until revoked.
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	r = open(t, js, dir)
	made := r.FirstStart().AdminKey
	if made == old || !r.FirstStart().AdminKeyMade || read(t, name) != made+"\n" {
		t.Error("no other key was made")
	}
	for _, secret := range []string{old, made} {
		authenticate(t, r, secret, registry.Principal{Kind: registry.Admin}, true)
	}
	revoke(t, r, old)
	authenticate(t, r, old, registry.Principal{}, false)
	r.Close()

	// The key in the file is valid whatever the bucket says.
	if err := os.WriteFile(name, []byte(" "+old+"\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r = open(t, js, dir)
	authenticate(t, r, old, registry.Principal{Kind: registry.Admin}, true)
	if keys := r.Keys(""); len(keys) != 2 {
		t.Errorf("%d admin keys, want 2: %+v", len(keys), keys)
	}
	r.Close()

	flipped := func(i int) string {
		b := []byte(old)
		b[i] ^= 4
		return string(b)
	}
	unusable := []string{"", "short", strings.Repeat("x", 513), "a key\twith a tab in the middle of it", r.FirstStart().WriteKey}
	for i := range old {
		unusable = append(unusable, flipped(i))
	}
	for _, content := range unusable {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if r, err := registry.Open(t.Context(), js, registry.Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "admin.key") {
			t.Errorf("%.10q: %v, %v", content, r, err)
		}
	}
}

// An admin key that takes the place of one whose file is gone leaves that one valid: a start says
// so, once, and never with a secret.
func TestAnotherAdminKeyIsTold(t *testing.T) {
	js, _ := jetStream(t, t.TempDir())
	dir := t.TempDir()
	name := filepath.Join(dir, "admin.key")
	start := func() (*registry.Registry, string) {
		var log bytes.Buffer
		r := openWith(t, js, registry.Options{Dir: dir, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		if strings.Contains(log.String(), r.FirstStart().AdminKey) {
			t.Errorf("the log has the key: %s", &log)
		}
		return r, log.String()
	}
	idOf := func(r *registry.Registry) string {
		who, ok := r.Authenticate(r.FirstStart().AdminKey)
		if !ok {
			t.Fatal("the admin key is not valid")
		}
		return who.KeyID
	}
	const told = "earlier admin keys stay valid: revoke unused ones with `eye keys revoke KEY_ID`"
	first, log := start()
	if strings.Contains(log, "admin key") {
		t.Errorf("a first start says %s", log)
	}
	before, secret := idOf(first), first.FirstStart().AdminKey
	first.Close()
	for _, tc := range []struct {
		name, want string
		lose       func() error
	}{
		{"the file is gone", "another admin key was created, because " + name + " is missing; ", func() error { return os.Remove(name) }},
		{"the file has another key", "the admin key in " + name + " has changed; ", func() error {
			return os.WriteFile(name, []byte(strings.Repeat("correct horse ", 3)), 0o600)
		}},
	} {
		if err := tc.lose(); err != nil {
			t.Fatal(err)
		}
		r, log := start()
		for _, want := range []string{"level=WARN", tc.want + told, "key_id=" + idOf(r), before} {
			if !strings.Contains(log, want) {
				t.Errorf("%s: %q is not in %s", tc.name, want, log)
			}
		}
		revoke(t, r, secret)
		before, secret = idOf(r), r.FirstStart().AdminKey
		r.Close()
		again, log := start()
		if strings.Contains(log, told) {
			t.Errorf("%s: the next start says %s", tc.name, log)
		}
		again.Close()
	}
}

func TestAnAdminKeyThatIsGiven(t *testing.T) {
	js, _ := jetStream(t, t.TempDir())
	dir := t.TempDir()
	given := strings.Repeat("correct horse ", 2)
	r := openWith(t, js, registry.Options{Dir: dir, AdminKey: given})
	authenticate(t, r, given, registry.Principal{Kind: registry.Admin}, true)
	if r.FirstStart().AdminKeyMade || r.FirstStart().AdminKey != given {
		t.Errorf("first start: %+v", r.FirstStart())
	}
	if _, err := os.Stat(filepath.Join(dir, "admin.key")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a key that was given needs no file: %v", err)
	}
	if strings.Contains(read(t, filepath.Join(dir, "metadata.json")), hexDigest(given)) {
		t.Error("a key that was given is kept")
	}
	r.Close()

	r = open(t, js, dir)
	authenticate(t, r, given, registry.Principal{}, false)
	r.Close()

	// Beside a file both are valid.
	r = openWith(t, js, registry.Options{Dir: dir, AdminKey: given})
	authenticate(t, r, given, registry.Principal{Kind: registry.Admin}, true)
	authenticate(t, r, r.FirstStart().AdminKey, registry.Principal{Kind: registry.Admin}, true)

	var invalid *registry.InvalidError
	for _, weak := range []string{"too short", strings.Repeat("x", 513)} {
		if _, err := registry.Open(t.Context(), js, registry.Options{Dir: dir, AdminKey: weak}); !errors.As(err, &invalid) {
			t.Errorf("%.10q: %v", weak, err)
		}
	}
}

func hexDigest(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

func TestLastUse(t *testing.T) {
	js, _ := jetStream(t, t.TempDir())
	dir := t.TempDir()
	often := registry.Options{Dir: dir, KeepInterval: 5 * time.Millisecond}
	a := openWith(t, js, often)
	secret := a.FirstStart().WriteKey
	lastUse := func(r *registry.Registry) *time.Time { return r.Keys("default")[0].LastUsedAt }
	if at := lastUse(a); at != nil {
		t.Errorf("used at %v before it was used", at)
	}
	b := open(t, js, t.TempDir())
	before := time.Now().Truncate(time.Second)
	authenticate(t, a, secret, registry.Principal{App: "default", Kind: registry.Write}, true)
	if at := lastUse(a); at == nil || at.Before(before) {
		t.Errorf("used at %v", at)
	}
	within(t, time.Minute, func() bool { return lastUse(b) != nil && lastUse(b).Equal(*lastUse(a)) })
	used := lastUse(a)
	a.Close()
	a = openWith(t, js, often)
	if at := lastUse(a); at == nil || !at.Equal(*used) {
		t.Errorf("after a restart it was used at %v, want %v", at, used)
	}
	authenticate(t, a, "eye_w_unknown_unknown", registry.Principal{}, false)
}

func TestLastUseIsWrittenAtTheEnd(t *testing.T) {
	js, _ := jetStream(t, t.TempDir())
	dir := t.TempDir()
	r := open(t, js, dir)
	r.Authenticate(r.FirstStart().ReadKey)
	r.Close()
	r = open(t, js, dir)
	used := 0
	for _, k := range r.Keys("default") {
		if k.LastUsedAt != nil {
			used++
		}
	}
	if used != 1 {
		t.Errorf("%d keys were used, want 1", used)
	}
}

func BenchmarkAuthenticate(b *testing.B) {
	r := fresh(b)
	secret := r.FirstStart().WriteKey
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, ok := r.Authenticate(secret); !ok {
				b.Error("not valid")
			}
		}
	})
}
