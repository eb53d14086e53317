package httpapi

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// remote returns the address of the caller, or the zero value if it is unknown.
//
// X-Forwarded-For and Forwarded (RFC 7239) are used only if they come from a trusted proxy. They
// are read from the right: the result is the first address that is not a trusted proxy.
// X-Forwarded-For takes precedence, because most proxies write that one and pass Forwarded on as
// the caller sent it.
func (s *Server) remote(r *http.Request) netip.Addr {
	peer := peerAddress(r)
	if !s.trusts(peer) {
		return peer
	}
	hops := split(r.Header.Values("X-Forwarded-For"))
	if len(hops) == 0 {
		hops = forwarded(r.Header.Values("Forwarded"), "for")
	}
	for _, hop := range slices.Backward(hops) {
		at, ok := parseHop(hop)
		if !ok {
			break // the proxy that wrote this is the last known address
		}
		if peer = at; !s.trusts(peer) {
			break
		}
	}
	return peer
}

// peerAddress returns the address at the other end of the connection, or the zero value if it is
// unknown.
func peerAddress(r *http.Request) netip.Addr {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return at.Addr().Unmap().WithZone("")
}

func (s *Server) trusts(a netip.Addr) bool { return within(a, s.opts.TrustedProxies) }

func within(a netip.Addr, list []netip.Prefix) bool {
	return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(a) })
}

// split returns the elements of a list that may span several header lines.
func split(lines []string) []string {
	if len(lines) == 0 {
		return nil
	}
	return strings.Split(strings.Join(lines, ","), ",")
}

// forwarded returns a parameter of each element of Forwarded, or "" for an element without it.
func forwarded(lines []string, parameter string) []string {
	hops := split(lines)
	for i, element := range hops {
		hops[i] = ""
		for pair := range strings.SplitSeq(element, ";") {
			name, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
			if strings.EqualFold(name, parameter) {
				hops[i] = strings.Trim(value, `"`)
			}
		}
	}
	return hops
}

// parseHop parses 192.0.2.1, 192.0.2.1:4711, 2001:db8::1 and [2001:db8::1]:4711.
func parseHop(text string) (netip.Addr, bool) {
	text = strings.TrimSpace(text)
	at, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(text, "["), "]"))
	if err != nil {
		var both netip.AddrPort
		both, err = netip.ParseAddrPort(text)
		at = both.Addr()
	}
	return at.Unmap().WithZone(""), err == nil
}

// local stands for the address of a caller on this machine that uses the socket in the data
// directory.
const local = "local"

// remoteText returns the address as text, local, or "" if it is unknown.
func (s *Server) remoteText(r *http.Request) string {
	if at, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok && at.Network() == "unix" {
		return local
	}
	if at := s.remote(r); at.IsValid() {
		return at.String()
	}
	return ""
}
