package test

import (
	"context"
	"debug/buildinfo"
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// script/notices finds the licenses of everything that is linked into the binary.
func TestNotices(t *testing.T) {
	t.Parallel()
	notices, report, err := runNotices(t, "..")
	if err != nil {
		t.Fatalf("script/notices: %v\n%s", err, report)
	}
	eye := binary(t, "")
	info, err := buildinfo.ReadFile(eye)
	if err != nil {
		t.Fatal(err)
	}
	for _, module := range info.Deps {
		if want := "=\n" + module.Path + " " + module.Version + "\n"; !strings.Contains(notices, want) {
			t.Errorf("%s %s is linked into the binary and has no notice", module.Path, module.Version)
		}
	}
	for _, want := range []string{
		"=\nThe Go standard library go1.", "PATENTS:", // of the standard library
		"\nzstd/internal/xxhash/LICENSE.txt (MIT):\n", // in a folder of github.com/klauspost/compress
		"-\nICU 66.1\n", "-\njemalloc\n", // of DuckDB
	} {
		if !strings.Contains(notices, want) {
			t.Errorf("the notices do not contain %q", want)
		}
	}
	if again, _, err := runNotices(t, ".."); err != nil || again != notices {
		t.Errorf("a second run of script/notices writes something else (error %v)", err)
	}

	// The notices leave out what the linker leaves out of DuckDB's libraries.
	program, err := elf.Open(eye)
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	symbols, err := program.Symbols()
	if err != nil {
		t.Fatal(err)
	}
	linked := func(part string) bool {
		return slices.ContainsFunc(symbols, func(s elf.Symbol) bool { return strings.Contains(s.Name, part) })
	}
	if !linked("IcuExtension") || linked("TpchExtension") || linked("TpcdsExtension") {
		t.Errorf("of DuckDB's extensions, ICU is linked: %t, TPC-H: %t, TPC-DS: %t; want true, false, false",
			linked("IcuExtension"), linked("TpchExtension"), linked("TpcdsExtension"))
	}
}

// A dependency without a known and allowed license fails the check and the build of the image.
func TestNoticesRefuse(t *testing.T) {
	t.Parallel()
	const (
		mit      = "Copyright (c) 2026 Someone\n\nPermission is hereby granted, free of charge, to any person\nobtaining a copy of this software and associated documentation files\n"
		bindings = "require github.com/duckdb/duckdb-go-bindings v0.99.0\nreplace github.com/duckdb/duckdb-go-bindings => ./dep\n"
		uses     = "package main\n\nimport _ \"example.com/dep\"\n\nfunc main() {}\n"
	)
	for _, test := range []struct {
		name  string
		files map[string]string // beside and in place of those of a project that is in order
		want  string            // in the notices, or in the report where they are refused
		fails bool
	}{
		{"in order", nil, "=\nexample.com/dep v1.2.3\n\nLICENSE (MIT):\n\n" + mit, false},
		{"a notice", map[string]string{"dep/NOTICE.md": "made by Someone"}, "\nNOTICE.md:\n\nmade by Someone\n", false},
		{"no license", map[string]string{"dep/LICENSE": ""},
			"example.com/dep v1.2.3 has no license file", true},
		{"a license in Go", map[string]string{"dep/LICENSE": "", "dep/license.go": "package dep\n\n// " + mit[:24]},
			"example.com/dep v1.2.3 has no license file", true},
		{"an unknown license", map[string]string{"dep/LICENSE": "Ask me."},
			"example.com/dep v1.2.3: LICENSE is not a license that script/notices allows", true},
		{"a refused license", map[string]string{"dep/COPYING": mit + "GNU GENERAL\nPUBLIC LICENSE"},
			"example.com/dep v1.2.3: COPYING is not a license that script/notices allows", true},
		{"another license in a folder", map[string]string{
			"dep/in/LICENSE": "Ask me.", "dep/in/in.go": "package in\n", "dep/dep.go": "package dep\n\nimport _ \"example.com/dep/in\"\n"},
			"example.com/dep v1.2.3: in/LICENSE is not a license that script/notices allows", true},
		{"another license in a folder that is not used", map[string]string{"dep/in/LICENSE": "Ask me.", "dep/in/in.go": "package in\n"},
			"=\nexample.com/dep v1.2.3\n\nLICENSE (MIT):\n\n" + mit, false},
		{"another DuckDB", map[string]string{
			"go.mod":          "module project\n\ngo 1.26.0\n\n" + bindings,
			"dep/go.mod":      "module github.com/duckdb/duckdb-go-bindings\n",
			"cmd/eye/main.go": strings.ReplaceAll(uses, "example.com/dep", "github.com/duckdb/duckdb-go-bindings")},
			"github.com/duckdb/duckdb-go-bindings is v0.99.0 in go.mod, but tools/notices/duckdb.txt was collected for v0.", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			files := map[string]string{
				"go.mod":          "module project\n\ngo 1.26.0\n\nrequire example.com/dep v1.2.3\n\nreplace example.com/dep => ./dep\n",
				"cmd/eye/main.go": uses,
				"dep/go.mod":      "module example.com/dep\n",
				"dep/dep.go":      "package dep\n",
				"dep/LICENSE":     mit,
			}
			for _, name := range []string{"script/notices", "tools/notices/duckdb.txt", "tools/notices/page.txt"} {
				content, err := os.ReadFile(filepath.Join("..", name))
				if err != nil {
					t.Fatal(err)
				}
				files[name] = string(content)
			}
			for name, content := range test.files {
				files[name] = content
			}
			project := t.TempDir()
			for name, content := range files {
				if content == "" {
					continue
				}
				path := filepath.Join(project, name)
				if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(content), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			notices, report, err := runNotices(t, project)
			switch {
			case test.fails != (err != nil):
				t.Errorf("script/notices ends with %v and reports\n%s", err, report)
			case test.fails && !strings.Contains(report, "notices: "+test.want):
				t.Errorf("script/notices reports %q, want %q", report, test.want)
			case test.fails && notices != "":
				t.Errorf("script/notices fails and writes\n%s", notices)
			case !test.fails && !strings.Contains(notices, test.want):
				t.Errorf("the notices are\n%s\nwant %q in them", notices, test.want)
			}
		})
	}
}

// runNotices runs script/notices of a project, without a network. It returns what the script writes
// to its file, what it reports, and how it ends.
func runNotices(t *testing.T, project string) (notices, report string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	file := filepath.Join(t.TempDir(), "THIRD_PARTY.txt")
	cmd := exec.CommandContext(ctx, filepath.Join(project, "script", "notices"), file)
	cmd.Env = append(os.Environ(), "GOPROXY=off")
	output, err := cmd.CombinedOutput()
	content, readErr := os.ReadFile(file)
	if err == nil && readErr != nil {
		t.Fatal(readErr)
	}
	return string(content), string(output), err
}
