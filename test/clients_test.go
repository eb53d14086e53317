package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"theeye/internal/httpapi/openapi"
)

// threeBodies is what a client prints that has sent an event, a list of two and an envelope of two.
const threeBodies = "event 1\nlist 2\nenvelope 2\n"

// A client that oapi-codegen generates compiles and sends each form of a body.
func TestGoClient(t *testing.T) {
	t.Parallel()
	dir := clientIn(t, "goclient")
	document, err := openapi.Document(true).Downgrade() // it reads OpenAPI 3.0
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "openapi.json"), document, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "eye"), 0o700); err != nil {
		t.Fatal(err)
	}
	runIn(t, dir, "go", "tool", "oapi-codegen", "-package", "eye", "-generate", "types,client", "-o", "eye/eye.gen.go", "openapi.json")
	runIn(t, dir, "go", "build", "-o", "client", ".")
	s := start(t)
	if got := runIn(t, dir, "./client", s.url, s.write); got != threeBodies {
		t.Errorf("the client printed %q, want %q", got, threeBodies)
	}
	s.sums(5, 5, 0)
}

// A client of the types that openapi-typescript generates compiles and sends each form of a body.
func TestTypeScriptClient(t *testing.T) {
	t.Parallel()
	dir := clientIn(t, "tsclient")
	tools, err := filepath.Abs("../tools/node_modules")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(tools); err != nil {
		t.Fatalf("the tools are missing: run script/setup test: %v", err)
	}
	if err := os.Symlink(tools, filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	document, err := openapi.Document(true).YAML()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "openapi.yaml"), document, 0o600); err != nil {
		t.Fatal(err)
	}
	runIn(t, dir, "node", "node_modules/openapi-typescript/bin/cli.js", "openapi.yaml", "-o", "eye.d.ts")
	runIn(t, dir, "node", "node_modules/typescript/bin/tsc")
	s := start(t)
	if got := runIn(t, dir, "node", "out/send.js", s.url, s.write); got != threeBodies {
		t.Errorf("the client printed %q, want %q", got, threeBodies)
	}
	s.sums(5, 5, 0)
}

// clientIn copies a client of testdata into a folder of the test's own.
func clientIn(t *testing.T, name string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("testdata", name))); err != nil {
		t.Fatal(err)
	}
	return dir
}

// runIn runs a command in a folder and returns what it prints.
func runIn(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out, stderr.String())
	}
	return string(out)
}
