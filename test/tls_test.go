package test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// certificate writes a self-signed certificate and its key.
func certificate(t *testing.T, host string) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "eye"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{host}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for name, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}

// trusting returns a client that trusts a certificate as its only authority.
func trusting(t *testing.T, certFile string) *http.Client {
	t.Helper()
	text, err := os.ReadFile(certFile)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		t.Fatal("no certificate")
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	certFile, keyFile := certificate(t, "127.0.0.1")
	s := &server{t: t, data: t.TempDir(), args: []string{"--tls-cert", certFile, "--tls-key", keyFile}, client: trusting(t, certFile)}
	s.launch()
	s.prepare()
	s.must(s.call("POST", "/v1/events", s.write, fine), 202)
	s.stored()
	resp, err := s.client.Get(s.url + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.ProtoMajor != 2 || resp.TLS == nil || resp.TLS.Version < tls.VersionTLS12 {
		t.Errorf("%s over %+v", resp.Proto, resp.TLS)
	}
	if _, err := http.Get(s.url + "/healthz"); !errors.As(err, &x509.UnknownAuthorityError{}) {
		t.Errorf("a client that does not trust the certificate: %v", err)
	}
	plain := *s
	plain.client, plain.url = http.DefaultClient, strings.Replace(s.url, "https", "http", 1)
	if a := plain.call("POST", "/v1/events", s.write, fine); a.status != 400 {
		t.Errorf("plain HTTP: %d %s", a.status, a.body)
	}
	// Commands run beside the server use its socket, which needs no certificate.
	for _, args := range [][]string{{"health"}, {"sessions"}} {
		if code, output := runEye(t, nil, append(args, "--data", s.data)...); code != 0 {
			t.Errorf("%v: exit code %d: %s", args, code, output)
		}
	}
}

// A certificate that was renewed is used from the next connection on, one that
// cannot be used is not, and connections that are open go on.
func TestARenewedCertificateIsUsed(t *testing.T) {
	t.Parallel()
	certFile, keyFile := certificate(t, "127.0.0.1")
	s := &server{t: t, data: t.TempDir(), args: []string{"--tls-cert", certFile, "--tls-key", keyFile}, client: trusting(t, certFile)}
	s.launch() // its connection stays open
	answers := func(certFile string) error {
		client := trusting(t, certFile)
		resp, err := client.Get(s.url + "/healthz")
		if err == nil {
			_ = resp.Body.Close()
		}
		return err
	}
	put := func(from, to string) {
		t.Helper()
		text, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(to+".new", text, 0o600)
		}
		if err == nil {
			err = os.Rename(to+".new", to)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	first := filepath.Join(t.TempDir(), "first.pem")
	put(certFile, first)
	for range 2 {
		nextCert, nextKey := certificate(t, "127.0.0.1")
		// The files change one after the other: half a renewal is no certificate.
		put(nextCert, certFile)
		if err := answers(first); err != nil {
			t.Errorf("in the middle of a renewal: %v", err)
		}
		put(nextKey, keyFile)
		if err := answers(nextCert); err != nil {
			t.Errorf("after a renewal: %v", err)
		}
		if answers(first) == nil {
			t.Error("the old certificate is still used")
		}
		put(nextCert, first)
	}
	for _, broken := range []string{"", "no PEM"} {
		if err := os.WriteFile(certFile, []byte(broken), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := answers(first); err != nil {
			t.Errorf("with %q as certificate: %v", broken, err)
		}
	}
	if err := os.Remove(certFile); err != nil {
		t.Fatal(err)
	}
	if err := answers(first); err != nil {
		t.Errorf("without the file: %v", err)
	}
	if err := answers(first); err != nil {
		t.Error(err)
	}
	told := func() int { return strings.Count(s.output.String(), "the certificate has changed and cannot be used") }
	s.eventually("the log", func() bool { return told() >= 5 })
	if got := told(); got != 5 {
		t.Errorf("what could not be used was told %d times, want 5: once each\n%s", got, s.output)
	}
	s.must(s.call("GET", "/healthz", "", ""), 200)
}

// A certificate that cannot be used ends the start, with one line that says why.
func TestCertificatesThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	certFile, keyFile := certificate(t, "eye.example")
	_, otherKey := certificate(t, "eye.example")
	dir := t.TempDir()
	noPEM := filepath.Join(dir, "no.pem")
	if err := os.WriteFile(noPEM, []byte("not PEM"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, cert, key string
		code            int
		want            string
	}{
		{"no such file", filepath.Join(dir, "none.pem"), keyFile, 1, "none.pem"},
		{"no PEM", noPEM, keyFile, 1, "failed to find any PEM data"},
		{"the key of another", certFile, otherKey, 1, "private key does not match"},
		{"files exchanged", keyFile, certFile, 1, "--tls-cert"},
		{"no key", certFile, "", 2, "--tls-cert and --tls-key go together"},
	} {
		t.Run(c.name, func(t *testing.T) {
			data := filepath.Join(t.TempDir(), "data")
			code, output := runEye(t, nil, "serve", "--data", data, "--listen", "127.0.0.1:0", "--tls-cert", c.cert, "--tls-key", c.key)
			if code != c.code || !strings.HasPrefix(output, "eye: ") || !strings.Contains(output, c.want) || strings.Count(output, "\n") != 1 {
				t.Errorf("exit code %d, output:\n%s", code, output)
			}
		})
	}
}

// The demo finds its own server, whatever name the certificate has.
func TestDemoOverTLS(t *testing.T) {
	t.Parallel()
	certFile, keyFile := certificate(t, "eye.example")
	pool := trusting(t, certFile)
	pool.Transport.(*http.Transport).TLSClientConfig.ServerName = "eye.example"
	s := &server{t: t, data: t.TempDir(), args: []string{"--tls-cert", certFile, "--tls-key", keyFile, "--demo"}, client: pool}
	s.launch()
	s.eventually("the demo to send with its key", func() bool {
		for _, k := range s.keys("shop") {
			if k["last_used_at"] != nil {
				return true
			}
		}
		return false
	})
}
