package registry_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"theeye/internal/envelope"
	"theeye/internal/registry"
)

// recordOf returns the name of the first record whose value has a text.
func recordOf(t *testing.T, kv jetstream.KeyValue, text string) (name, value string) {
	t.Helper()
	keys, err := kv.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		entry, err := kv.Get(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(entry.Value()), text) {
			return key, string(entry.Value())
		}
	}
	t.Fatalf("no record has %s", text)
	return "", ""
}

func put(t *testing.T, kv jetstream.KeyValue, key, value string) {
	t.Helper()
	if _, err := kv.Put(context.Background(), key, []byte(value)); err != nil {
		t.Fatal(err)
	}
}

func openLogged(t *testing.T, js jetstream.JetStream, dir string) (*registry.Registry, *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer
	return openWith(t, js, registry.Options{Dir: dir, Logger: slog.New(slog.NewTextHandler(&log, nil))}), &log
}

// A key with a restriction that is not known is refused, wherever it comes from, and keeps the
// restriction when it is revoked.
func TestAKeyWithAnUnknownRestrictionIsRefused(t *testing.T) {
	for name, change := range map[string]struct{ from, to, unknown string }{
		"a member":  {`"key_id":`, `"paths":["/a"],"key_id":`, "paths"},
		"a kind":    {`"kind":"write"`, `"kind":"ingest"`, `kind "ingest"`},
		"its form":  {`"signing":false`, `"signing":{"with":"ed25519"}`, ""},
		"no expiry": {`"revoked_at":null`, `"revoked_at":null,"not_before":"2100-01-01T00:00:00Z"`, "not_before"},
	} {
		t.Run(name, func(t *testing.T) {
			js, _ := jetStream(t, t.TempDir())
			dir := t.TempDir()
			r := open(t, js, dir)
			k, secret, err := r.CreateKey(t.Context(), registry.DefaultApp, registry.Write)
			if err != nil {
				t.Fatal(err)
			}
			held, release := r.WhileValid(t.Context(), secret)
			defer release()
			key, value := recordOf(t, bucket(t, js), k.ID)
			value = strings.Replace(value, change.from, change.to, 1)
			put(t, bucket(t, js), key, value)
			within(t, time.Minute, func() bool { _, ok := r.Authenticate(secret); return !ok })
			within(t, time.Minute, func() bool { return held.Err() != nil })
			r.Close()

			check := func(from string, js jetstream.JetStream, dir string) *registry.Registry {
				t.Helper()
				r, log := openLogged(t, js, dir)
				authenticate(t, r, secret, registry.Principal{}, false)
				authenticate(t, r, r.FirstStart().AdminKey, registry.Principal{Kind: registry.Admin}, true)
				var found []string
				for _, other := range r.Keys(registry.DefaultApp) {
					if other.ID == k.ID {
						found = other.Unknown
					}
				}
				if change.unknown == "" { // it cannot even be read
					return r
				}
				if strings.Join(found, ",") != change.unknown || !strings.Contains(r.Refusal(secret), change.unknown) {
					t.Errorf("%s: listed with %q, refused with %q", from, found, r.Refusal(secret))
				}
				if n := strings.Count(log.String(), "level=WARN msg=\"a key is refused"); n != 1 {
					t.Errorf("%s: told %d times: %s", from, n, log)
				}
				return r
			}
			check("the bucket", js, dir).Close()
			other, _ := jetStream(t, t.TempDir())
			r = check("metadata.json", other, dir)
			if change.unknown == "" {
				return
			}
			if err := r.RevokeKey(t.Context(), registry.DefaultApp, k.ID); err != nil {
				t.Fatal(err)
			}
			if _, now := recordOf(t, bucket(t, other), k.ID); !strings.Contains(now, change.to) && !strings.Contains(now, change.unknown) {
				t.Errorf("revoked, it is %s", now)
			}
			if r.Refusal(secret) != "" {
				t.Error("a revoked key says more than that it is not valid")
			}
		})
	}
}

// Records of a newer version, and a copy of it, end the start; nothing is changed.
func TestANewerVersionIsNotTouched(t *testing.T) {
	for name, change := range map[string]struct{ of, from, to string }{
		"an application": {`"app":"default","time_zone"`, `"app":"default"`, `"app":"default","quota":1`},
		"its setting":    {`"app":"default","time_zone"`, `"unknown_types":"accept"`, `"unknown_types":"hold"`},
		"a type":         {`"schema":`, `"category":"c"`, `"category":"c","lenient":true`},
		"the state":      {`"complete_since"`, `{`, `{"min_version":9,`},
		"last uses":      {`"key_`, ``, ``},
		"another kind":   {`"complete_since"`, ``, ``},
	} {
		t.Run(name, func(t *testing.T) {
			js, _ := jetStream(t, t.TempDir())
			dir := t.TempDir()
			r := open(t, js, dir)
			if _, _, err := putType(t.Context(), r, "c", "n", []byte(`{}`)); err != nil {
				t.Fatal(err)
			}
			r.Close()
			kv := bucket(t, js)
			key, value := recordOf(t, kv, change.of)
			value = strings.Replace(value, change.from, change.to, 1)
			switch name {
			case "another kind":
				key, value = "policy.1", `{"deny":"all"}`
			case "last uses":
				key, value = "used", `{"by":{}}`
			}
			put(t, kv, key, value)
			status, err := kv.Status(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			file := read(t, filepath.Join(dir, "metadata.json"))
			_, err = registry.Open(t.Context(), js, registry.Options{Dir: dir})
			if !errors.Is(err, envelope.ErrNewer) || !strings.Contains(err.Error(), key) {
				t.Fatalf("got %v", err)
			}
			after, err := kv.Status(t.Context())
			if err != nil || after.Values() != status.Values() || read(t, filepath.Join(dir, "metadata.json")) != file {
				t.Errorf("something was changed: %v, %v", after, err)
			}
		})
	}
}

// A record that another node writes in a newer form is left as it is.
func TestANewerRecordIsNotOverwritten(t *testing.T) {
	js, _ := jetStream(t, t.TempDir())
	r := open(t, js, t.TempDir())
	key, value := recordOf(t, bucket(t, js), `"app":"default","time_zone"`)
	want := strings.Replace(value, `"rate":0`, `"rate":7,"quota":1`, 1)
	put(t, bucket(t, js), key, want)
	within(t, time.Minute, func() bool { a, _ := r.App("default"); return a.Rate == 7 })
	_, err := r.UpdateApp(t.Context(), "default", func(s *registry.Settings) { s.Rate = 8 })
	if !errors.Is(err, envelope.ErrNewer) || !errors.Is(err, registry.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	if _, got := recordOf(t, bucket(t, js), `"app":"default","time_zone"`); got != want {
		t.Errorf("it is %s", got)
	}
}

// A copy of a newer version ends the start, also when the bucket is whole. One that is damaged is
// moved away and told.
func TestACopyBesideAWholeBucket(t *testing.T) {
	newer := string(envelope.Seal(4, "metadata", []byte(`{"records":{}}`)))
	for name, test := range map[string]struct {
		change func(string) string
		newer  bool
	}{
		"newer":               {func(string) string { return newer }, true},
		"with a newer member": {func(string) string { return string(envelope.Seal(2, "metadata", []byte(`{"records":{},"more":1}`))) }, true},
		"with a newer record": {func(string) string {
			return string(envelope.Seal(2, "metadata", []byte(`{"records":{"app.00":{"revision":1,"value":{"quota":1}}}}`)))
		}, true},
		"a bit flipped": {func(s string) string { return strings.Replace(s, `"kind":"admin"`, `"kind":"acmin"`, 1) }, false},
		"cut":           {func(s string) string { return s[:len(s)/2] }, false},
		"empty":         {func(string) string { return "" }, false},
		"without its log": {func(string) string {
			return string(envelope.Seal(3, "metadata", []byte(`{"log":"metadata-00000000.log","records":{}}`)))
		}, false},
		"of a version that has a log": {func(string) string { return string(envelope.Seal(3, "metadata", []byte(`{"records":{}}`))) }, false},
		"newer, no sum":               {func(string) string { return `{"version":3,"records":{}}` }, false},
	} {
		t.Run(name, func(t *testing.T) {
			js, _ := jetStream(t, t.TempDir())
			dir := t.TempDir()
			r := open(t, js, dir)
			secret := r.FirstStart().WriteKey
			r.Close()
			file := filepath.Join(dir, "metadata.json")
			content := test.change(read(t, file))
			if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			if test.newer {
				_, err := registry.Open(t.Context(), js, registry.Options{Dir: dir})
				if !errors.Is(err, envelope.ErrNewer) || read(t, file) != content {
					t.Errorf("got %v", err)
				}
				return
			}
			r, log := openLogged(t, js, dir)
			authenticate(t, r, secret, registry.Principal{App: "default", Kind: registry.Write}, true)
			kept, err := filepath.Glob(filepath.Join(dir, "quarantine", "metadata-*.json"))
			if err != nil || len(kept) != 1 || read(t, kept[0]) != content {
				t.Errorf("kept are %v, %v", kept, err)
			}
			if !strings.Contains(log.String(), "level=ERROR msg=\"the copy of the metadata was damaged") || registry.CheckDocument([]byte(read(t, file))) != nil {
				t.Errorf("told: %s", log)
			}
		})
	}
}

// A change that the bucket has lost comes back from the copy, also when later ones are there; a
// later change of the bucket stays.
func TestALostChangeComesBack(t *testing.T) {
	js, _ := jetStream(t, t.TempDir())
	dir := t.TempDir()
	r := open(t, js, dir)
	secret := r.FirstStart().WriteKey
	id := r.Keys("default")[0].ID
	key, before := recordOf(t, bucket(t, js), id)
	revoke(t, r, secret)
	if _, err := r.CreateApp(t.Context(), "shop", registry.Settings{}); err != nil {
		t.Fatal(err)
	}
	r.Close()

	// A bucket that has all but the revocation, and a later record.
	full, _ := jetStream(t, t.TempDir())
	kv, err := full.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "EYE_METADATA", History: 1, Storage: jetstream.FileStorage})
	if err != nil {
		t.Fatal(err)
	}
	put(t, kv, key, before)
	from := bucket(t, js)
	keys, err := from.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, other := range keys {
		if other != key {
			entry, err := from.Get(t.Context(), other)
			if err != nil {
				t.Fatal(err)
			}
			put(t, kv, other, string(entry.Value()))
		}
	}
	for range 20 { // beyond the revisions of the copy
		put(t, kv, "used", `{}`)
	}
	var notes []string
	r, err = registry.Open(t.Context(), full, registry.Options{Dir: dir, Note: func(text string) { notes = append(notes, text) }})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(notes, func(text string) bool { return strings.Contains(text, "had changes that the queue did not have (1)") }) {
		t.Errorf("told: %q", notes)
	}
	authenticate(t, r, secret, registry.Principal{}, false)
	if _, err := r.UpdateApp(t.Context(), "shop", func(s *registry.Settings) { s.Rate = 5 }); err != nil {
		t.Fatal(err)
	}
	r.Close()
	r = open(t, full, dir)
	if a, _ := r.App("shop"); a.Rate != 5 {
		t.Errorf("a later change is gone: %+v", a)
	}
	authenticate(t, r, secret, registry.Principal{}, false)
}

// A trail with an entry of a newer version is not taken over, and a backup of such a log has the
// entry as it was.
func TestATrailOfANewerVersion(t *testing.T) {
	js, _ := jetStream(t, t.TempDir())
	first := open(t, js, t.TempDir())
	document, err := first.AuditLog().Document(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	newer := strings.Replace(string(document), `"outcome"`, `"approved_by":"k","outcome"`, 1)
	dir := t.TempDir()
	name := filepath.Join(dir, registry.AuditFile)
	if err := os.WriteFile(name, []byte(string(document)+newer), 0o600); err != nil {
		t.Fatal(err)
	}
	other, _ := jetStream(t, t.TempDir())
	if _, err := registry.Open(t.Context(), other, registry.Options{Dir: dir}); !errors.Is(err, envelope.ErrNewer) || strings.Contains(err.Error(), "move it away") {
		t.Errorf("got %v", err)
	}
	stream, err := other.Stream(t.Context(), "EYE_AUDIT")
	if err != nil {
		t.Fatal(err)
	}
	if n := stream.CachedInfo().State.Msgs; n != 0 || read(t, name) != string(document)+newer {
		t.Errorf("%d entries were taken over", n)
	}
	for text, want := range map[string]error{"": nil, string(document): nil, newer: envelope.ErrNewer, "{}\n": envelope.ErrDamaged, string(document[:len(document)-4]): envelope.ErrDamaged} {
		if err := registry.CheckAuditFile([]byte(text)); !errors.Is(err, want) || (err == nil) != (want == nil) {
			t.Errorf("%.60q: %v", text, err)
		}
	}
	line, _, _ := strings.Cut(newer, "\n")
	if _, err := js.Publish(t.Context(), "eye.audit.one", []byte(line)); err != nil {
		t.Fatal(err)
	}
	if document, err = first.AuditLog().Document(t.Context()); err != nil || !strings.Contains(string(document), line+"\n") {
		t.Errorf("%s, %v", document, err)
	}
}
