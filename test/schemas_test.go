package test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// hostile are schemas that would read files, reach the network, or take for ever.
// marker is the folder of files to be read, address that of a listener.
func hostile(marker, address string) []struct{ name, schema, pointer string } {
	branches := func(n int) string {
		s := `{"type":"string"}`
		for range n {
			s = `{"anyOf":[{"$ref":"#/$defs/a"},` + s + `]}`
		}
		return s
	}
	doubling := `"z":{"type":"string"}`
	for i := range 20 {
		next := fmt.Sprintf("a%d", i+1)
		if i == 19 {
			next = "z"
		}
		doubling += fmt.Sprintf(`,"a%d":{"anyOf":[{"$ref":"#/$defs/%[2]s"},{"$ref":"#/$defs/%[2]s"}]}`, i, next)
	}
	return []struct{ name, schema, pointer string }{
		{"a file", `{"properties":{"a":{"$ref":"file://` + marker + `/a.json"}}}`, "/properties/a/$ref"},
		{"a path", `{"$ref":"` + marker + `/a.json"}`, "/$ref"},
		{"a neighbour of a file", `{"$id":"file://` + marker + `/b.json","$ref":"a.json"}`, "/$ref"},
		{"the network", `{"properties":{"a":{"$ref":"http://` + address + `/a.json"}}}`, "/properties/a/$ref"},
		{"a neighbour on the network", `{"$id":"http://` + address + `/b.json","allOf":[{"$ref":"a.json"}]}`, "/allOf/0/$ref"},
		{"a dialect in a file", `{"$schema":"file://` + marker + `/a.json"}`, "/$schema"},
		{"a dialect on the network", `{"$defs":{"a":{"$id":"a","$schema":"http://` + address + `/a.json"}},"$ref":"a"}`, "/$defs/a/$schema"},
		{"an unknown dialect", `{"$schema":"https://example.com/schema"}`, "/$schema"},
		{"another event type", `{"$ref":"/v1/types/page%20interaction/pageview"}`, "/$ref"},
		{"a circle that reads nothing", `{"properties":{"a":{"$ref":"#/$defs/a"}},"$defs":{"a":{"allOf":[{"$ref":"#/$defs/b"}]},"b":{"$ref":"#/$defs/a"}}}`, "/$defs/a"},
		{"20 nested anyOf that double", `{"properties":{"x":{"$ref":"#/$defs/a0"}},"$defs":{` + doubling + `}}`, "/$defs/a12"},
		{"20 nested anyOf in depth", `{"$ref":"#/$defs/b","$defs":{"a":{"anyOf":[{"properties":{"p":{"$ref":"#/$defs/b"}}},{"additionalProperties":{"$ref":"#/$defs/b"}}]},"b":` + branches(20) + `}}`, "/$defs/b" + strings.Repeat("/anyOf/1", 15)},
		{"1 MB of enum", `{"enum":["` + strings.Repeat(`abcdefgh","`, 100_000) + `z"]}`, ""},
		{"many values of an enum", `{"properties":{"a":{"enum":[` + strings.Repeat("1,", 1500) + `2]}}}`, "/properties/a/enum"},
		{"a pattern that is none", `{"properties":{"a":{"pattern":"("}}}`, "/properties/a/pattern"},
		{"a huge pattern", `{"pattern":"((a{100}){10}){10}"}`, "/pattern"},
		{"a Boolean bound of draft-04", `{"properties":{"n":{"minimum":0,"exclusiveMinimum":true}}}`, "/properties/n/exclusiveMinimum"},
		{"id of draft-04", `{"id":"https://example.com/a"}`, "/id"},
		{"the dialect draft-04", `{"$schema":"http://json-schema.org/draft-04/schema#"}`, "/$schema"},
	}
}

// Each is refused with its place and a reason, and while all of
// them are compiled the process opens none of the files and calls nobody.
func TestHostileSchemas(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("strace"); err != nil {
		t.Fatal("strace is missing: `script/setup test` installs it")
	}
	marker := t.TempDir()
	for _, name := range []string{"a.json", "b.json"} {
		if err := os.WriteFile(filepath.Join(marker, name), []byte(`{"type":"string"}`), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	s := start(t)
	trace := filepath.Join(t.TempDir(), "trace")
	detach := s.strace(trace)

	for _, c := range hostile(marker, listener.Addr().String()) {
		a := s.call("PUT", pageview, s.admin, c.schema)
		pointer, told := a.json()["pointer"]
		if a.status != 422 || !told || pointer != c.pointer || a.text("detail") == "" {
			t.Errorf("%s: %d, want 422 at %q: %s", c.name, a.status, c.pointer, a.body)
		}
		s.must(s.call("POST", pageview+"/try", s.admin, c.schema), 422)
	}
	s.must(s.call("GET", pageview, s.read, ""), 404)
	// What is good is kept, and strace sees it: files and what is sent.
	s.must(s.call("PUT", pageview, s.admin, `{"title":"`+marker+`"}`), 200)
	detach()
	b, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	if text := string(b); !strings.Contains(text, s.data) {
		t.Errorf("strace saw nothing of what the server does: %.2000s", text)
	}
	port := "htons(" + strconv.Itoa(listener.Addr().(*net.TCPAddr).Port) + ")"
	for line := range strings.Lines(string(b)) {
		if strings.Contains(line, marker) || strings.Contains(line, port) {
			t.Errorf("a schema reached out: %s", line)
		}
	}
}

// strace follows the server's calls about files and the network until the
// returned function is called.
func (s *server) strace(output string) (detach func()) {
	s.t.Helper()
	cmd := exec.Command("strace", "-f", "-s", "300", "-o", output, "-e", "trace=%file,connect,sendto", "-p", strconv.Itoa(s.cmd.Process.Pid))
	told := &safeBuffer{}
	cmd.Stderr = told
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { _ = cmd.Wait(); close(done) }()
	stop := func() {
		_ = cmd.Process.Signal(os.Interrupt)
		<-done
	}
	s.t.Cleanup(stop)
	s.eventually("strace to follow", func() bool {
		select {
		case <-done:
			s.t.Fatalf("strace ended: %s", told)
		default:
		}
		return strings.Contains(told.String(), "attached")
	})
	return stop
}
