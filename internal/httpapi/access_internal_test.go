package httpapi

import (
	"strings"
	"testing"

	"theeye/internal/registry"
)

// The document shows what it declares of each route, and test/access_test.go calls
// them all; what the document does not show must be a file of its page.
func TestEachRouteDeclaresItsAccess(t *testing.T) {
	s := &Server{opts: Options{LegacyApp: "legacy"}}
	for _, rt := range s.routes() {
		if rt.access == undeclared || accessName(rt.access) == "" {
			t.Errorf("%s %s declares no access", rt.method, rt.path)
		}
		if rt.doc.hidden && (rt.access != open || rt.method != "GET" || !strings.HasPrefix(rt.path, "/docs/")) {
			t.Errorf("%s %s is not in the document", rt.method, rt.path)
		}
	}
	for _, kind := range []registry.Kind{registry.Write, registry.Read, registry.Admin} {
		if opens(registry.Principal{Kind: kind}, undeclared) {
			t.Errorf("a %s key opens a route that declares nothing", kind)
		}
	}
}
