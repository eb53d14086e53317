package test

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

// The script for web pages is served under a name that is asked for again after five minutes, and
// under one that names its content for good. Pages of all sites may load it.
func TestScript(t *testing.T) {
	t.Parallel()
	s := start(t)
	want, err := os.ReadFile("../internal/ui/eyejs/eye.js")
	if err != nil {
		t.Fatal(err)
	}
	a := s.call("GET", "/eye.js", "", "", "Origin", page)
	s.must(a, 200)
	tag := a.header.Get("ETag")
	hashed := "/eye." + strings.Trim(tag, `"`) + ".js"
	for path, caching := range map[string]string{"/eye.js": "public, max-age=300", hashed: "public, max-age=31536000, immutable"} {
		a := s.call("GET", path, "", "", "Origin", page)
		s.must(a, 200)
		if !bytes.Equal(a.body, want) {
			t.Errorf("%s serves %d bytes, not the %d of the file", path, len(a.body), len(want))
		}
		for name, value := range map[string]string{
			"Content-Type": "text/javascript; charset=utf-8", "Cache-Control": caching, "ETag": tag,
			"Access-Control-Allow-Origin": "*", "Cross-Origin-Resource-Policy": "cross-origin",
		} {
			if got := a.header.Get(name); got != value {
				t.Errorf("%s of %s is %q, want %q", name, path, got, value)
			}
		}
		s.must(s.call("HEAD", path, "", ""), 200)
		s.must(s.call("GET", path, "", "", "If-None-Match", tag), 304)
	}
	s.must(s.call("GET", "/eye.0123456789abcdef.js", "", ""), 404)
}
