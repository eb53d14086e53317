package httpapi_test

import (
	"net/http"
	"strings"
	"testing"

	"theeye/internal/httpapi"
	"theeye/internal/registry"
)

// The document shows the access of each route, and test/access_test.go calls all of those routes; a
// route that is not in the document must be a file for browsers.
func TestEachRouteDeclaresItsAccess(t *testing.T) {
	for _, rt := range allRoutes() {
		if rt.Access == httpapi.Undeclared || rt.Access.String() == "" {
			t.Errorf("%s %s declares no access", rt.Method, rt.Path)
		}
		if rt.Doc.Hidden && (rt.Access != httpapi.Open || rt.Method != http.MethodGet || strings.HasPrefix(rt.Path, "/v1/")) {
			t.Errorf("%s %s is not in the document", rt.Method, rt.Path)
		}
	}
	for _, kind := range []registry.Kind{registry.Write, registry.Read, registry.Admin} {
		if httpapi.Undeclared.OpenTo(registry.Principal{Kind: kind}) {
			t.Errorf("a %s key opens a route that declares nothing", kind)
		}
	}
}
