package registry_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"theeye/internal/registry"
)

// A registry that begins with the document of another one and a new admin key knows the same
// applications and keys, and the new key.
func TestDocumentMakesTheSameRegistry(t *testing.T) {
	js, _ := jetStream(t, t.TempDir())
	r := open(t, js, t.TempDir())
	secret, old := r.FirstStart().WriteKey, r.FirstStart().AdminKey
	if _, err := r.CreateApp(t.Context(), "shop", registry.Settings{TimeZone: "Asia/Tokyo"}); err != nil {
		t.Fatal(err)
	}
	document, err := r.Document()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{secret, old, r.FirstStart().ReadKey} {
		if strings.Contains(string(document), s) {
			t.Error("the document holds a secret")
		}
	}

	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "metadata.json"), document, 0o600); err != nil {
		t.Fatal(err)
	}
	made, err := registry.MakeAdminKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	other, _ := jetStream(t, t.TempDir())
	c := open(t, other, dir)
	if app, ok := c.App("shop"); !ok || app.TimeZone != "Asia/Tokyo" || c.FirstStart().AdminKeyMade {
		t.Errorf("application %+v, another admin key made: %v", app, c.FirstStart().AdminKeyMade)
	}
	authenticate(t, c, secret, registry.Principal{App: "default", Kind: registry.Write}, true)
	for _, admin := range []string{old, made} {
		authenticate(t, c, admin, registry.Principal{Kind: registry.Admin}, true)
	}
}
