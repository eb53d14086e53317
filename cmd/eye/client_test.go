package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
)

func TestReachable(t *testing.T) {
	for listen, want := range map[string]string{
		"127.0.0.1:8080": "127.0.0.1:8080",
		"0.0.0.0:8080":   "127.0.0.1:8080",
		"[::]:8080":      "127.0.0.1:8080", // what listening on 0.0.0.0 is called
		":8080":          "127.0.0.1:8080",
		"[::1]:8080":     "[::1]:8080",
		"eye.local:80":   "eye.local:80",
		"no address":     "no address",
	} {
		if got := reachable(listen); got != want {
			t.Errorf("%q: got %q, want %q", listen, got, want)
		}
	}
}

func TestWhichServerAndKey(t *testing.T) {
	type target struct{ Server, Key string }
	dir := t.TempDir()
	for name, text := range map[string]string{"address": "[::]:9\n", "admin.key": "eye_a_own\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	own := filepath.Join(dir, "eye.sock")
	for _, tc := range []struct {
		name string
		line []string
		env  map[string]string
		want target
	}{
		{"the directory", []string{"--data", dir}, nil, target{own, "eye_a_own"}},
		{"the directory of the environment", nil, map[string]string{"EYE_DATA": dir}, target{own, "eye_a_own"}},
		{"another key", []string{"--data", dir, "--key", "k"}, nil, target{own, "k"}},
		{"another key by the environment", []string{"--data", dir}, map[string]string{"EYE_KEY": "k"}, target{own, "k"}},
		{"the environment before a directory of the environment", nil, map[string]string{"EYE_DATA": dir, "EYE_URL": "http://b", "EYE_KEY": "k"}, target{"http://b", "k"}},
		{"the flag before the environment", []string{"--url", "http://a/"}, map[string]string{"EYE_URL": "http://b"}, target{"http://a", ""}},
		{"the key of a directory goes to its server alone", []string{"--url", "http://a", "--data", dir}, nil, target{"http://a", ""}},
		{"a directory before the environment's server and its key", []string{"--data", dir}, map[string]string{"EYE_URL": "http://b", "EYE_KEY": "k"}, target{own, "eye_a_own"}},
		{"no scheme", []string{"--url", "a:1"}, nil, target{"http://a:1", ""}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cmd := &cobra.Command{}
			f := newClientFlags(cmd, streams{})
			f.getenv = func(name string) string { return tc.env[name] }
			if err := cmd.ParseFlags(tc.line); err != nil {
				t.Fatal(err)
			}
			c, err := f.client()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, target{c.shown, c.key}); diff != "" {
				t.Error(diff)
			}
		})
	}
}
