package test

import (
	"bytes"
	"compress/gzip"
	"io"
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
	hashed := "/eye." + strings.Trim(tag, `W/"`) + ".js"
	for path, caching := range map[string]string{"/eye.js": "public, max-age=300", hashed: "public, max-age=31536000, immutable"} {
		a := s.call("GET", path, "", "", "Origin", page)
		s.must(a, 200)
		if !bytes.Equal(a.body, want) {
			t.Errorf("%s serves %d bytes, not the %d of the file", path, len(a.body), len(want))
		}
		for name, value := range map[string]string{
			"Vary": "Accept-Encoding", "Content-Type": "text/javascript; charset=utf-8", "Cache-Control": caching, "ETag": tag,
			"Access-Control-Allow-Origin": "*", "Cross-Origin-Resource-Policy": "cross-origin",
		} {
			if got := a.header.Get(name); got != value {
				t.Errorf("%s of %s is %q, want %q", name, path, got, value)
			}
		}
		packed := s.call("GET", path, "", "", "Accept-Encoding", "br, gzip")
		s.must(packed, 200)
		z, err := gzip.NewReader(bytes.NewReader(packed.body))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(z); err != nil || !bytes.Equal(got, want) || packed.header.Get("Content-Encoding") != "gzip" || len(packed.body) > 8<<10 {
			t.Errorf("%s compressed is %d bytes, of which %d were read: %v", path, len(packed.body), len(got), err)
		}
		s.must(s.call("HEAD", path, "", ""), 200)
		s.must(s.call("GET", path, "", "", "If-None-Match", tag), 304)
	}
	s.must(s.call("GET", "/eye.0123456789abcdef.js", "", ""), 404)
}
