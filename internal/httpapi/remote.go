package httpapi

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// remote returns the address of the caller, the zero value when it is not known.
//
// What a request says of its way is believed of trusted proxies alone, from the
// right: the answer is the first address that is not one of theirs. X-Forwarded-For
// goes before Forwarded (RFC 7239), because most proxies write that one and pass
// the other on as the caller sent it.
func (s *Server) remote(r *http.Request) netip.Addr {
	peer := netip.Addr{}
	if at, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		peer = at.Addr().Unmap().WithZone("")
	}
	if !s.trusts(peer) {
		return peer
	}
	hops := split(r.Header.Values("X-Forwarded-For"))
	if len(hops) == 0 {
		hops = forwardedFor(r.Header.Values("Forwarded"))
	}
	for _, hop := range slices.Backward(hops) {
		at, ok := parseHop(hop)
		if !ok {
			break // who wrote this is the last that is known
		}
		if peer = at; !s.trusts(peer) {
			break
		}
	}
	return peer
}

func (s *Server) trusts(a netip.Addr) bool { return within(a, s.opts.TrustedProxies) }

func within(a netip.Addr, list []netip.Prefix) bool {
	return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(a) })
}

// split returns the elements of a list that may stand in several lines.
func split(lines []string) []string {
	if len(lines) == 0 {
		return nil
	}
	return strings.Split(strings.Join(lines, ","), ",")
}

// forwardedFor returns the for= of each element; one without it has none that
// can be read.
func forwardedFor(lines []string) []string {
	hops := split(lines)
	for i, element := range hops {
		hops[i] = ""
		for pair := range strings.SplitSeq(element, ";") {
			name, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
			if strings.EqualFold(name, "for") {
				hops[i] = strings.Trim(value, `"`)
			}
		}
	}
	return hops
}

// parseHop reads 192.0.2.1, 192.0.2.1:4711, 2001:db8::1 and [2001:db8::1]:4711.
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

// local stands for the address of a caller on the server's own machine that came
// through the socket in the data directory.
const local = "local"

// remoteText is remote for people: an address, local, or "" when neither is known.
func (s *Server) remoteText(r *http.Request) string {
	if at, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok && at.Network() == "unix" {
		return local
	}
	if at := s.remote(r); at.IsValid() {
		return at.String()
	}
	return ""
}
