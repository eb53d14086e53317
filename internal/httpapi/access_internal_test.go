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
		if rt.Access == Undeclared || accessName(rt.Access) == "" {
			t.Errorf("%s %s declares no access", rt.Method, rt.Path)
		}
		if rt.Doc.Hidden && (rt.Access != Open || rt.Method != "GET" || !strings.HasPrefix(rt.Path, "/docs/")) {
			t.Errorf("%s %s is not in the document", rt.Method, rt.Path)
		}
	}
	for _, kind := range []registry.Kind{registry.Write, registry.Read, registry.Admin} {
		if opens(registry.Principal{Kind: kind}, Undeclared) {
			t.Errorf("a %s key opens a route that declares nothing", kind)
		}
	}
}
