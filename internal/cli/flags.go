package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"theeye/internal/client"
)

// clientFlags says which server to talk to. Every command that can talk to a server has these
// flags.
type clientFlags struct {
	stdio
	url, key, data string
	json           bool
	cmd            *cobra.Command
	getenv         func(string) string
}

// newClientFlags adds these flags to a command.
func newClientFlags(cmd *cobra.Command, s stdio) *clientFlags {
	f := &clientFlags{stdio: s, cmd: cmd, getenv: os.Getenv}
	fs := cmd.PersistentFlags()
	fs.StringVar(&f.url, "url", "", "`URL` of the server (EYE_URL); by default the server of --data. --data on the command line overrides EYE_URL")
	fs.StringVar(&f.key, "key", "", "`key` to use (EYE_KEY); by default the admin key of --data, without --url")
	fs.StringVar(&f.data, "data", "./eye-data", "data `directory` of a server on this machine (EYE_DATA)")
	fs.BoolVar(&f.json, "json", false, "print the server's JSON documents")
	return f
}

// value returns the value of a flag, or else of its environment variable, or else the flag's
// default.
func (f *clientFlags) value(name, env string) string {
	flag := f.cmd.Flag(name)
	if !flag.Changed {
		if v := f.getenv(env); v != "" {
			return v
		}
	}
	return flag.Value.String()
}

// named returns the URL and the key that flags or the environment name; they are empty if neither
// does. A directory on the command line takes precedence over the URL in the environment, and the
// key in the environment is then not sent either.
func (f *clientFlags) named() (base, key string) {
	base, key = f.value("url", "EYE_URL"), f.value("key", "EYE_KEY")
	if base != "" && f.cmd.Flag("data").Changed && !f.cmd.Flag("url").Changed {
		return "", f.key
	}
	return base, key
}

// client returns a client for the server that the flags select.
func (f *clientFlags) client() (*client.Client, error) {
	base, key := f.named()
	dir := f.value("data", "EYE_DATA")
	if base != "" {
		c, err := client.New(base, key)
		if err != nil {
			return nil, usagef("%s", err)
		}
		return c, nil
	}
	if key != "" {
		return client.NewLocal(dir, key, ""), nil
	}
	// The key in a directory is sent only through the socket in the same directory, so that it cannot
	// reach another server.
	name := filepath.Join(dir, "admin.key")
	b, err := os.ReadFile(name)
	if err == nil {
		return client.NewLocal(dir, strings.TrimSpace(string(b)), ""), nil
	}
	c := client.NewLocal(dir, "", fmt.Sprintf("%s cannot be read (%v): run the command as the server's user, or give a key with --key or EYE_KEY; if the file is missing, restart the server, which creates another", name, pathless(err)))
	c.AwaitKey(name)
	return c, nil
}

// pathless returns the reason of an error without the path that its text names.
func pathless(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	return err
}
