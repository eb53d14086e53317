package test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/klauspost/compress/zstd"
)

func gzipped(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func utf16Text(text string, bigEnd bool) string {
	var b []byte
	for _, unit := range utf16.Encode([]rune(text)) {
		high, low := byte(unit>>8), byte(unit)
		if bigEnd {
			high, low = low, high
		}
		b = append(b, low, high)
	}
	return string(b)
}

// A body that cannot be JSON for its form is answered with what it is and what to do. It is one
// rejection, also when it is said to be lines.
func TestBodiesInAnotherForm(t *testing.T) {
	t.Parallel()
	s := start(t)
	packer, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	packed := gzipped(t, fine)
	tests := []struct{ name, body, want string }{
		{"gzip", packed, "this is gzip; send it with Content-Encoding: gzip"},
		{"zstd", string(packer.EncodeAll([]byte(fine), nil)), "this is zstd; send it with Content-Encoding: zstd"},
		{"UTF-16, little end first", utf16Text(fine, false), "this is UTF-16; JSON is sent as UTF-8"},
		{"UTF-16, as Windows writes it", utf16Text("\ufeff"+fine, false), "this is UTF-16; JSON is sent as UTF-8"},
		{"UTF-16, big end first", utf16Text(fine, true), "this is UTF-16; JSON is sent as UTF-8"},
		{"UTF-32", "\xff\xfe\x00\x00{\x00\x00\x00}\x00\x00\x00", "this is UTF-32; JSON is sent as UTF-8"},
	}
	types := []string{"application/json", "application/x-ndjson", "application/x-www-form-urlencoded"}
	for _, c := range tests {
		for _, kind := range types {
			a := s.call("POST", "/v1/events", s.write, c.body, "Content-Type", kind)
			if a.status != 400 || a.text("detail") != c.want {
				t.Errorf("%s as %s: %d %s", c.name, kind, a.status, a.body)
			}
		}
	}
	if a := s.call("POST", "/v1/events", s.write, gzipped(t, packed), "Content-Encoding", "gzip"); a.status != 400 || a.text("detail") != "the body is still gzip after decompression; compress it once" {
		t.Errorf("packed twice: %d %s", a.status, a.body)
	}
	for _, request := range []string{"PUT /v1/types/c/n", "POST /v1/apps"} {
		method, path, _ := strings.Cut(request, " ")
		if a := s.call(method, path, s.admin, packed); !strings.HasSuffix(a.text("detail"), "this is gzip, which is not decompressed here") {
			t.Errorf("%s: %d %s", request, a.status, a.body)
		}
	}
	s.balanced(len(tests)*len(types) + 1)
}

// What is too large is told what a body may have and what an event, and that it was unpacked when
// it was.
func TestWhatIsTooLarge(t *testing.T) {
	t.Parallel()
	s := start(t, "--max-request-bytes", "1MiB", "--max-event-bytes", "1000")
	const rest = " (--max-request-bytes): send smaller batches; one event may have at most 1000 bytes (--max-event-bytes)"
	large := fmt.Sprintf(`{"session_id":"s","category":"c","name":"n","data":{"a":%q},"timestamp":1}`, strings.Repeat("x", 1<<20))
	if a := s.call("POST", "/v1/events", s.write, large); a.status != 413 || a.text("detail") != "the body is larger than 1048576 bytes (1 MiB)"+rest {
		t.Errorf("as it is: %d %s", a.status, a.body)
	}
	if a := s.call("POST", "/v1/events", s.write, gzipped(t, large), "Content-Encoding", "gzip"); a.status != 413 || a.text("detail") != "the body is larger than 1048576 bytes (1 MiB) after decompression"+rest {
		t.Errorf("packed: %d %s", a.status, a.body)
	}
	if a := s.call("POST", "/v1/apps", s.admin, `{"app":"`+strings.Repeat("x", 1<<20)+`"}`); a.status != 413 || a.text("detail") != "the body is larger than 524288 bytes (512 KiB)" {
		t.Errorf("of administration: %d %s", a.status, a.body)
	}
}
