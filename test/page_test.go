package test

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"strings"
	"testing"
)

// pageHeaders are those of the page and of its files.
var pageHeaders = map[string]string{
	"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; " +
		"form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
	"Cross-Origin-Opener-Policy":   "same-origin",
	"Cross-Origin-Resource-Policy": "same-origin",
	"X-Content-Type-Options":       "nosniff",
	"Referrer-Policy":              "no-referrer",
	"Vary":                         "Accept-Encoding",
}

// Every address of the page answers the same document, which is revalidated, without a look at who
// asks.
func TestPageIsTheSameAtEachAddress(t *testing.T) {
	t.Parallel()
	s := start(t)
	want, err := os.ReadFile("../internal/ui/dist/index.html")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{
		"/", "/signin", "/overview", "/live", "/sessions", "/sessions/e2085be5-9137-4e4e-80b5-f1ffddc25423", "/sessions/a%2Fb", "/events",
		"/rejections", "/rejections/01980c00-0000-7000-8000-000000000000", "/types", "/types/page%20interaction/cta%2Fclick",
		"/find", "/apps", "/audit", "/unreadable", "/overview?from=2026-01-01&unknown=1",
	} {
		a := s.call("GET", path, "", "")
		s.must(a, 200)
		if !bytes.Equal(a.body, want) {
			t.Errorf("%s: %.100s", path, a.body)
		}
		s.hasHeaders(path, a, pageHeaders)
		s.hasHeaders(path, a, map[string]string{"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-cache"})
		s.must(s.call("HEAD", path, "", ""), 200)
		s.must(s.call("GET", path, "", "", "If-None-Match", a.header.Get("ETag")), 304)
		if packed := s.call("GET", path, "", "", "Accept-Encoding", "br, gzip"); !bytes.Equal(plainBody(t, packed), want) {
			t.Errorf("%s compressed: %.100s", path, packed.body)
		}
	}
	for _, path := range []string{"/nothing", "/overview/", "/types/one", "/v1/nothing", "/v1/overviews"} {
		a := s.call("GET", path, "", "")
		if s.must(a, 404); a.header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %s", path, a.header)
		}
	}
	s.must(s.call("POST", "/overview", "", ""), 405)
}

// The files of the page have names that contain a hash of their content, and never change.
func TestFilesOfThePageNeverChange(t *testing.T) {
	t.Parallel()
	s := start(t)
	files, err := os.ReadDir("../internal/ui/dist/assets")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, f := range files {
		want, err := os.ReadFile("../internal/ui/dist/assets/" + f.Name())
		if err != nil {
			t.Fatal(err)
		}
		path := "/assets/" + f.Name()
		a := s.call("GET", path, "", "", "Accept-Encoding", "gzip")
		s.must(a, 200)
		if !bytes.Equal(plainBody(t, a), want) {
			t.Errorf("%s: %d bytes, want %d", path, len(a.body), len(want))
		}
		s.hasHeaders(path, a, pageHeaders)
		s.hasHeaders(path, a, map[string]string{"Cache-Control": "public, max-age=31536000, immutable"})
		if kind := a.header.Get("Content-Type"); strings.HasSuffix(path, ".js") && kind != "text/javascript; charset=utf-8" || strings.HasSuffix(path, ".css") && kind != "text/css; charset=utf-8" {
			t.Errorf("%s is %s", path, kind)
		}
	}
	s.must(s.call("GET", "/assets/index-00000001.js", "", ""), 404)
	s.must(s.call("GET", "/assets/", "", ""), 404)
}

func (s *server) hasHeaders(path string, a reply, want map[string]string) {
	s.t.Helper()
	for name, value := range want {
		if got := a.header.Get(name); got != value {
			s.t.Errorf("%s of %s is %q, want %q", name, path, got, value)
		}
	}
}

// plainBody returns the body of an answer, decompressed if it is compressed.
func plainBody(t *testing.T, a reply) []byte {
	t.Helper()
	if a.header.Get("Content-Encoding") != "gzip" {
		return a.body
	}
	z, err := gzip.NewReader(bytes.NewReader(a.body))
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
