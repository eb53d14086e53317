// Command generate writes the names of all time zones that this version of Go knows, one a line,
// to the file that is named.
package main

import (
	"archive/zip"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

func main() {
	if err := generate(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func generate(file string) error {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return err
	}
	zones, err := zip.OpenReader(filepath.Join(strings.TrimSpace(string(root)), "lib", "time", "zoneinfo.zip"))
	if err != nil {
		return err
	}
	defer func() { _ = zones.Close() }()
	var names []string
	for _, f := range zones.File {
		if !strings.HasSuffix(f.Name, "/") && f.Name != "Factory" { // which stands for a machine without a zone
			names = append(names, f.Name)
		}
	}
	slices.Sort(names)
	return os.WriteFile(file, []byte(strings.Join(names, "\n")+"\n"), 0o644) //nolint:gosec // a public list
}
