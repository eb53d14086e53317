package httpapi

import (
	"net/http"
	"net/netip"
	"testing"
)

func TestRemote(t *testing.T) {
	s := &Server{opts: Options{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")}}}
	for _, c := range []struct {
		name, peer         string
		forwardedFor, rfc7 []string
		want               string
	}{
		{"no proxy", "192.0.2.1:999", nil, nil, "192.0.2.1"},
		{"a caller who makes it up", "192.0.2.1:999", []string{"198.51.100.7"}, []string{"for=198.51.100.7"}, "192.0.2.1"},
		{"one proxy", "10.1.1.1:80", []string{"198.51.100.7"}, nil, "198.51.100.7"},
		{"the caller made the left up", "10.1.1.1:80", []string{"203.0.113.9, 198.51.100.7"}, nil, "198.51.100.7"},
		{"two proxies", "10.1.1.1:80", []string{"203.0.113.9, 198.51.100.7, 10.2.2.2"}, nil, "198.51.100.7"},
		{"in two lines", "10.1.1.1:80", []string{"203.0.113.9", "198.51.100.7,10.2.2.2"}, nil, "198.51.100.7"},
		{"with a port", "10.1.1.1:80", []string{"198.51.100.7:4711"}, nil, "198.51.100.7"},
		{"inside the net", "10.1.1.1:80", []string{"10.3.3.3,10.2.2.2"}, nil, "10.3.3.3"},
		{"nonsense on the right", "10.1.1.1:80", []string{"198.51.100.7, unknown"}, nil, "10.1.1.1"},
		{"nonsense behind a proxy", "10.1.1.1:80", []string{"nonsense, 10.2.2.2"}, nil, "10.2.2.2"},
		{"an empty header", "10.1.1.1:80", []string{""}, nil, "10.1.1.1"},
		{"without a header", "10.1.1.1:80", nil, nil, "10.1.1.1"},
		{"mapped", "[::ffff:10.1.1.1]:80", []string{"::ffff:198.51.100.7"}, nil, "198.51.100.7"},
		{"IPv6", "[2001:db8::1]:80", []string{"2001:beef::7"}, nil, "2001:beef::7"},
		{"RFC 7239", "10.1.1.1:80", nil, []string{`for=203.0.113.9, for="[2001:beef::7]:4711";proto=https, For=10.2.2.2`}, "2001:beef::7"},
		{"RFC 7239, hidden", "10.1.1.1:80", nil, []string{`for=203.0.113.9, for=_hidden`}, "10.1.1.1"},
		{"RFC 7239, another field", "10.1.1.1:80", nil, []string{`for=203.0.113.9, by=10.2.2.2`}, "10.1.1.1"},
		{"both", "10.1.1.1:80", []string{"198.51.100.7"}, []string{"for=203.0.113.9"}, "198.51.100.7"},
		{"a socket", "@", nil, nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := &http.Request{RemoteAddr: c.peer, Header: http.Header{"X-Forwarded-For": c.forwardedFor, "Forwarded": c.rfc7}}
			if got := s.remoteText(r); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}
