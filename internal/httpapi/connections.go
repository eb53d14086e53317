package httpapi

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/prometheus/client_golang/prometheus"
)

const (
	// MaxConnections is the largest number of connections that are served, however many file
	// descriptors there are.
	MaxConnections = 10_000
	// addressPart is the divisor for the share of all connections that one address may have.
	addressPart = 4
	// maxRefusing bounds the connections that are being refused with an answer; more of them are
	// closed without one.
	maxRefusing = 16
	refuseTime  = time.Second
)

// ConnectionOptions are the options of Connections.
type ConnectionOptions struct {
	Max int // 0 for MaxConnections
	// Trusted are proxies, which may have all connections.
	Trusted []netip.Prefix
	// Encrypted connections are refused without an answer, which they would not understand.
	Encrypted  bool
	Registerer prometheus.Registerer
}

// Connections bounds the open connections in total and from one address, which for IPv6 is a /64
// network. A connection that exceeds a limit is answered with 503 and closed.
type Connections struct {
	opts     ConnectionOptions
	refusing chan struct{} // semaphore of maxRefusing
	gauge    prometheus.Gauge
	refused  *prometheus.CounterVec

	mu        sync.Mutex // guards what follows
	open      int
	byNetwork map[netip.Addr]int
}

// NewConnections returns limits that listeners share.
func NewConnections(opts ConnectionOptions) *Connections {
	if opts.Max == 0 {
		opts.Max = MaxConnections
	}
	c := &Connections{
		opts: opts, refusing: make(chan struct{}, maxRefusing), byNetwork: map[netip.Addr]int{},
		gauge: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "eye_http_connections", Help: "Open connections.",
		}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "eye_http_connections_refused_total", Help: "Connections refused because there were too many in total or from one address.",
		}, []string{"bound"}),
	}
	for _, bound := range []string{"all", "address"} {
		c.refused.WithLabelValues(bound)
	}
	if opts.Registerer != nil {
		opts.Registerer.MustRegister(c.gauge, c.refused)
	}
	return c
}

// PerAddress returns the maximum number of connections from one address.
func (c *Connections) PerAddress() int { return max(1, c.opts.Max/addressPart) }

// Listener returns a listener that accepts the connections of l within the bounds.
func (c *Connections) Listener(l net.Listener) net.Listener { return &boundListener{l, c} }

type boundListener struct {
	net.Listener
	bounds *Connections
}

// Accept implements net.Listener.
func (l *boundListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		peer := peerOf(conn)
		if bound := l.bounds.enter(peer); bound != "" {
			l.bounds.refuse(conn, bound)
			continue
		}
		return &boundConn{Conn: conn, leave: sync.OnceFunc(func() { l.bounds.leave(peer) })}, nil
	}
}

// peerOf returns the address of the other end, or the zero value if it has none, as on a Unix
// socket. In that case, only the limit for all connections applies.
func peerOf(c net.Conn) netip.Addr {
	at, err := netip.ParseAddrPort(c.RemoteAddr().String())
	if err != nil {
		return netip.Addr{}
	}
	return at.Addr().Unmap().WithZone("")
}

// networkOf returns the address or network that a connection counts for.
func networkOf(peer netip.Addr) netip.Addr {
	if peer.Is6() {
		return netip.PrefixFrom(peer, 64).Masked().Addr()
	}
	return peer
}

// enter counts a connection, or returns the bound that it would exceed.
func (c *Connections) enter(peer netip.Addr) (bound string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.open >= c.opts.Max:
		return "all"
	case peer.IsValid() && c.byNetwork[networkOf(peer)] >= c.PerAddress() && !within(peer, c.opts.Trusted):
		return "address"
	}
	c.open++
	c.byNetwork[networkOf(peer)]++
	c.gauge.Set(float64(c.open))
	return ""
}

func (c *Connections) leave(peer netip.Addr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open--
	if c.byNetwork[networkOf(peer)]--; c.byNetwork[networkOf(peer)] == 0 {
		delete(c.byNetwork, networkOf(peer))
	}
	c.gauge.Set(float64(c.open))
}

// refuse answers a connection beyond the bounds and closes it.
func (c *Connections) refuse(conn net.Conn, bound string) {
	c.refused.WithLabelValues(bound).Inc()
	select {
	case c.refusing <- struct{}{}:
	default:
		_ = conn.Close()
		return
	}
	go func() {
		defer func() { <-c.refusing }()
		defer conn.Close()
		if c.opts.Encrypted {
			return
		}
		_ = conn.SetDeadline(time.Now().Add(refuseTime))
		if _, err := conn.Write(noRoom(bound)); err != nil {
			return
		}
		// If it were closed with unread bytes, it would be reset before the response is read.
		if half, ok := conn.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
			_, _ = io.Copy(io.Discard, io.LimitReader(conn, unreadBytes))
		}
	}()
}

// unreadBytes bounds the bytes that are read of a request on a refused connection.
const unreadBytes = 64 << 10

// noRoom is the answer to a connection beyond the bounds.
func noRoom(bound string) []byte {
	detail := "the server has reached its limit of connections; try again"
	if bound == "address" {
		detail = "there are too many connections from this address; reuse open ones, or name the proxy with --trusted-proxies"
	}
	body, _ := json.Marshal(NewProblem(http.StatusServiceUnavailable, detail))
	return fmt.Appendf(nil, "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

// boundConn is counted until it is closed.
type boundConn struct {
	net.Conn
	leave func()
}

// Close implements net.Conn.
func (c *boundConn) Close() error {
	defer c.leave()
	return c.Conn.Close()
}

// SetLinger sets it on a TCP connection; others have nothing to discard.
func (c *boundConn) SetLinger(seconds int) error {
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		return tcp.SetLinger(seconds)
	}
	return nil
}

// CloseWrite lets net/http close a connection whose request was not read to its end without
// losing the answer.
func (c *boundConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return c.Conn.Close()
}
