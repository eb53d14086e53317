package registry_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"
	"pgregory.net/rapid"

	"theeye/internal/registry"
)

// model is what a registry should hold.
type model struct {
	apps  map[string]registry.Settings
	keys  map[string]modelKey // by secret
	types map[string]modelType
}

type modelKey struct {
	id    string
	who   registry.Principal
	valid bool
}

type modelType struct {
	versions []string
	deleted  bool
}

// machine runs a registry and its model side by side, through restarts and the loss of the bucket.
type machine struct {
	t     *testing.T
	js    jetstream.JetStream
	stop  func() // of the server
	dir   string
	r     *registry.Registry
	model model
}

func TestRegistryIsAsItsModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := &machine{t: t, dir: t.TempDir(), stop: func() {}}
		m.replace()
		defer func() { m.stop() }()
		m.open(rt)
		defer func() {
			if m.r != nil {
				m.r.Close()
			}
		}()
		first := m.r.FirstStart()
		write, read := registry.Principal{App: "default", Kind: registry.Write}, registry.Principal{App: "default", Kind: registry.Read}
		m.model = model{
			apps: map[string]registry.Settings{"default": {TimeZone: "UTC", UnknownTypes: registry.AcceptUnknown}},
			keys: map[string]modelKey{
				first.WriteKey: {who: write, valid: true}, first.ReadKey: {who: read, valid: true},
				first.AdminKey: {who: registry.Principal{Kind: registry.Admin}, valid: true},
			},
			types: map[string]modelType{},
		}
		rt.Repeat(map[string]func(*rapid.T){
			"createApp": m.createApp, "updateApp": m.updateApp, "deleteApp": m.deleteApp,
			"createKey": m.createKey, "revokeKey": m.revokeKey,
			"putType": m.putType, "deleteType": m.deleteType,
			"restart": m.restart, "lose": m.lose, "": m.check,
		})
	})
}

// replace puts an empty server in the place of the one that there is.
func (m *machine) replace() {
	m.stop()
	m.js, m.stop = jetStream(m.t, m.t.TempDir())
}

func (m *machine) open(t *rapid.T) {
	var err error
	if m.r, err = registry.Open(m.t.Context(), m.js, registry.Options{Dir: m.dir}); err == nil {
		err = m.r.FirstKeysShown(m.t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (m *machine) restart(t *rapid.T) {
	m.r.Close()
	m.open(t)
}

func (m *machine) lose(t *rapid.T) {
	m.r.Close()
	m.replace()
	m.open(t)
}

func name(t *rapid.T) string {
	return rapid.SampledFrom([]string{"default", "a", "b.c", "d-e_f"}).Draw(t, "name")
}

func settings(t *rapid.T) registry.Settings {
	return registry.Settings{
		TimeZone:     rapid.SampledFrom([]string{"UTC", "Asia/Tokyo", "Europe/Berlin"}).Draw(t, "zone"),
		UnknownTypes: rapid.SampledFrom([]registry.UnknownTypes{registry.AcceptUnknown, registry.RejectUnknown}).Draw(t, "unknown"),
	}
}

func expect(t *rapid.T, err, want error) {
	if !errors.Is(err, want) {
		t.Fatalf("got %v, want %v", err, want)
	}
}

func (m *machine) createApp(t *rapid.T) {
	app, s := name(t), settings(t)
	_, err := m.r.CreateApp(m.t.Context(), app, s)
	if _, exists := m.model.apps[app]; exists {
		expect(t, err, registry.ErrExists)
		return
	}
	expect(t, err, nil)
	m.model.apps[app] = s
}

func (m *machine) updateApp(t *rapid.T) {
	app, s := name(t), settings(t)
	_, err := m.r.UpdateApp(m.t.Context(), app, func(to *registry.Settings) { *to = s })
	if _, exists := m.model.apps[app]; !exists {
		expect(t, err, registry.ErrNotFound)
		return
	}
	expect(t, err, nil)
	m.model.apps[app] = s
}

func (m *machine) deleteApp(t *rapid.T) {
	app := name(t)
	err := m.r.DeleteApp(m.t.Context(), appOf(m.r, app))
	if _, exists := m.model.apps[app]; !exists {
		expect(t, err, registry.ErrNotFound)
		return
	}
	expect(t, err, nil)
	delete(m.model.apps, app)
	for secret, k := range m.model.keys {
		if k.who.App == app {
			k.valid = false
			m.model.keys[secret] = k
		}
	}
}

func (m *machine) createKey(t *rapid.T) {
	app, kind := name(t), rapid.SampledFrom([]registry.Kind{registry.Write, registry.Read}).Draw(t, "kind")
	k, secret, err := m.r.CreateKey(m.t.Context(), app, kind)
	if _, exists := m.model.apps[app]; !exists {
		expect(t, err, registry.ErrNotFound)
		return
	}
	expect(t, err, nil)
	m.model.keys[secret] = modelKey{id: k.ID, who: registry.Principal{App: app, Kind: kind}, valid: true}
}

func (m *machine) revokeKey(t *rapid.T) {
	secrets := slices.Sorted(maps.Keys(m.model.keys))
	secret := secrets[rapid.IntRange(0, len(secrets)-1).Draw(t, "key")]
	k := m.model.keys[secret]
	if k.id == "" {
		return // made at the first start, known by its secret alone
	}
	err := m.r.RevokeKey(m.t.Context(), k.who.App, k.id)
	if !k.valid && err != nil { // of an application that is gone, or revoked before
		expect(t, err, registry.ErrNotFound)
		return
	}
	expect(t, err, nil)
	k.valid = false
	m.model.keys[secret] = k
}

func (m *machine) putType(t *rapid.T) {
	n := name(t)
	document := fmt.Sprintf(`{"maxProperties":%d}`, rapid.IntRange(1, 3).Draw(t, "schema"))
	v, made, err := putType(m.t.Context(), m.r, "c", n, []byte(document))
	expect(t, err, nil)
	typ := m.model.types[n]
	last := len(typ.versions) - 1
	same := last >= 0 && !typ.deleted && typ.versions[last] == document
	if !same {
		typ.versions, typ.deleted = append(typ.versions, document), false
		m.model.types[n] = typ
	}
	if made == same || int(v.Version) != len(typ.versions) {
		t.Fatalf("version %d, made %v, want %d, %v", v.Version, made, len(typ.versions), !same)
	}
}

func (m *machine) deleteType(t *rapid.T) {
	n := name(t)
	err := m.r.DeleteType(m.t.Context(), "c", n)
	typ, exists := m.model.types[n]
	if !exists || typ.deleted {
		expect(t, err, registry.ErrNotFound)
		return
	}
	expect(t, err, nil)
	typ.deleted = true
	m.model.types[n] = typ
}

// check compares all that can be seen.
func (m *machine) check(t *rapid.T) {
	apps := map[string]registry.Settings{}
	for _, a := range m.r.Apps() {
		apps[a.Name] = a.Settings
	}
	if diff := cmp.Diff(m.model.apps, apps); diff != "" {
		t.Fatalf("applications (-want +got):\n%s", diff)
	}
	for secret, k := range m.model.keys {
		who, ok := m.r.Authenticate(secret)
		who.KeyID = ""
		if ok != k.valid || ok && who != k.who {
			t.Fatalf("key of %+v: got %+v %v", k, who, ok)
		}
	}
	for n, want := range m.model.types {
		versions, err := m.r.TypeVersions("c", n)
		expect(t, err, nil)
		var documents []string
		for i, v := range versions {
			if documents = append(documents, string(v.Schema)); int(v.Version) != i+1 {
				t.Fatalf("version %d stands at %d", v.Version, i)
			}
		}
		if diff := cmp.Diff(want.versions, documents); diff != "" {
			t.Fatalf("versions (-want +got):\n%s", diff)
		}
		switch typ := m.r.Type("c", n); {
		case want.deleted != (typ == nil):
			t.Fatalf("type %q is %+v, deleted %v", n, typ, want.deleted)
		case typ != nil && (int(typ.Version) != len(documents) || string(typ.Document) != documents[len(documents)-1]):
			t.Fatalf("type %q in force is %+v", n, typ)
		}
	}
	inForce := 0
	for _, typ := range m.model.types {
		if !typ.deleted {
			inForce++
		}
	}
	if types := m.r.Types(); len(types) != inForce {
		t.Fatalf("%d types, want %d", len(types), inForce)
	}
}
