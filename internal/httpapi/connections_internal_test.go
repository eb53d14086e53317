package httpapi

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// acceptor counts the connections that a bounded listener accepts, and keeps them open.
func acceptor(t *testing.T, opts ConnectionOptions) (c *Connections, address string, in chan net.Conn) {
	t.Helper()
	c = NewConnections(opts)
	plain, err := net.Listen("tcp4", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	l := c.Listener(plain)
	in = make(chan net.Conn, 100)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			in <- conn
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
	})
	_, port, _ := net.SplitHostPort(plain.Addr().String())
	return c, "127.0.0.1:" + port, in
}

// dial connects from an address of this machine.
func dial(t *testing.T, from, to string) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	c, err := d.DialContext(t.Context(), "tcp4", to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	return c
}

// turnedAway reads the answer to a connection that exceeds a limit; the request may be under way.
func turnedAway(t *testing.T, c net.Conn) string {
	t.Helper()
	_, _ = io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: eye\r\n\r\n")
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatalf("a connection that exceeds a limit is not answered: %v", err)
	}
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusServiceUnavailable || answer.Header.Get("Retry-After") == "" {
		t.Fatalf("a connection that exceeds a limit is answered %d, %v: %s", answer.StatusCode, err, body)
	}
	return string(body)
}

func TestConnectionsAreBounded(t *testing.T) {
	c, address, in := acceptor(t, ConnectionOptions{Max: 8})
	var open []net.Conn
	enter := func(from string) {
		t.Helper()
		dial(t, from, address)
		open = append(open, <-in)
	}
	for _, from := range []string{"127.0.0.1", "127.0.0.1", "127.0.0.2", "127.0.0.2", "127.0.0.3", "127.0.0.3", "127.0.0.4"} {
		enter(from)
	}
	if told := turnedAway(t, dial(t, "127.0.0.1", address)); !strings.Contains(told, "--trusted-proxies") {
		t.Errorf("the third from one address is answered %s", told)
	}
	enter("127.0.0.4")
	if told := turnedAway(t, dial(t, "127.0.0.5", address)); !strings.Contains(told, "try again") {
		t.Errorf("the ninth of all is answered %s", told)
	}
	for _, conn := range open {
		_ = conn.Close()
		_ = conn.Close() // counts once
	}
	c.mu.Lock()
	if c.open != 0 || len(c.byNetwork) != 0 {
		t.Errorf("%d connections of %v are counted after all were closed", c.open, c.byNetwork)
	}
	c.mu.Unlock()
	enter("127.0.0.1")
}

// A proxy may have the connections of many callers.
func TestConnectionsOfProxies(t *testing.T) {
	_, address, in := acceptor(t, ConnectionOptions{Max: 8, Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}})
	for range 8 {
		dial(t, "127.0.0.1", address)
		<-in
	}
	turnedAway(t, dial(t, "127.0.0.2", address))
}

// An encrypted connection is closed without an unencrypted answer.
func TestEncryptedConnectionsAreClosed(t *testing.T) {
	_, address, in := acceptor(t, ConnectionOptions{Max: 1, Encrypted: true})
	dial(t, "127.0.0.1", address)
	<-in
	if b, err := io.ReadAll(dial(t, "127.0.0.1", address)); len(b) > 0 {
		t.Errorf("a connection that exceeds a limit is answered %q, %v", b, err)
	}
}

func TestNetworkOf(t *testing.T) {
	for _, c := range []struct{ peer, want string }{
		{"192.0.2.7", "192.0.2.7"},
		{"2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"},
		{"2001:db8:1:2:ffff::", "2001:db8:1:2::"},
		{"2001:db8:1:3::1", "2001:db8:1:3::"},
	} {
		if got := networkOf(netip.MustParseAddr(c.peer)); got != netip.MustParseAddr(c.want) {
			t.Errorf("%s counts for %s, want %s", c.peer, got, c.want)
		}
	}
}
