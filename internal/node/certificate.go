package node

import (
	"crypto/tls"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
)

// certificate is that of the server, read again when one of its files has changed.
// A renewal needs no restart and no signal. A pair that cannot be used is told and
// changes nothing. It is safe for concurrent use.
type certificate struct {
	certFile, keyFile string
	log               *slog.Logger

	mu      sync.Mutex // guards what follows
	current *tls.Certificate
	tried   [2]fs.FileInfo // of the files as they were last read; nil for one that was not there
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

// get returns the certificate for a connection that begins.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if files := c.files(); !same(files[0], c.tried[0]) || !same(files[1], c.tried[1]) {
		c.tried = files
		if err := c.load(); err != nil {
			c.log.Warn("the certificate has changed and cannot be used; the one before stays in use", "error", err)
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

// files looks at the files. Symbolic links are followed, because tools for renewal
// let them point elsewhere.
func (c *certificate) files() (found [2]fs.FileInfo) {
	for i, name := range []string{c.certFile, c.keyFile} {
		if info, err := os.Stat(name); err == nil {
			found[i] = info
		}
	}
	return found
}

// same reports whether a file was not changed.
func same(a, b fs.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}
