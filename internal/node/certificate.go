package node

import (
	"crypto/tls"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
)

// certificate is the certificate of the server. It is read again when one of its files has changed,
// so a renewal needs neither a restart nor a signal. A pair of files that cannot be used is logged,
// and the previous certificate stays in use. It may be used concurrently.
type certificate struct {
	certFile, keyFile string
	log               *slog.Logger

	mu      sync.Mutex // guards the fields below
	current *tls.Certificate
	tried   [2]fs.FileInfo // the files as they were when they were last read; nil for a missing one
}

// newCertificate reads a certificate.
func newCertificate(certFile, keyFile string, log *slog.Logger) (*certificate, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile, log: log}
	c.tried = c.files() // before they are read, so that no change is missed
	if err := c.load(); err != nil {
		return nil, fmt.Errorf("the certificate cannot be used: %w; check --tls-cert and --tls-key", err)
	}
	return c, nil
}

// get returns the certificate for a new connection.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if files := c.files(); !same(files[0], c.tried[0]) || !same(files[1], c.tried[1]) {
		c.tried = files
		if err := c.load(); err != nil {
			c.log.Warn("the certificate has changed and cannot be used; the previous one stays in use", "error", err)
		} else {
			c.log.Info("the certificate was read again", "subject", c.current.Leaf.Subject.String(), "not_after", c.current.Leaf.NotAfter)
		}
	}
	return c.current, nil
}

func (c *certificate) load() error {
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err == nil {
		c.current = &pair
	}
	return err
}

// files returns the current state of the files. It follows symbolic links, because tools for
// renewal make them point to another file.
func (c *certificate) files() (found [2]fs.FileInfo) {
	for i, name := range []string{c.certFile, c.keyFile} {
		if info, err := os.Stat(name); err == nil {
			found[i] = info
		}
	}
	return found
}

// same reports whether a file is unchanged.
func same(a, b fs.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}
