package registry

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// MaxOrigins bounds the origins of one key.
const MaxOrigins = 50

// maxOrigin bounds the text of one origin, in bytes. A host name has at most 253.
const maxOrigin = 300

// checkedOrigins returns origins in the format that browsers send, sorted and without repetitions.
func checkedOrigins(given []string) ([]string, error) {
	if len(given) > MaxOrigins {
		return nil, &InvalidError{"origins", fmt.Sprintf("has %d entries; a key has at most %d", len(given), MaxOrigins)}
	}
	origins := make([]string, 0, len(given))
	for _, text := range given {
		origin, fault := normalOrigin(text)
		if fault != "" {
			return nil, &InvalidError{"origins", fmt.Sprintf("cannot have %.100q: %s", text, fault)}
		}
		origins = append(origins, origin)
	}
	slices.Sort(origins)
	return slices.Compact(origins), nil
}

// normalOrigin returns an origin in the format of the Origin header (RFC 6454 §6.2, and the URL
// standard's serialization of hosts), or what is wrong with it.
func normalOrigin(text string) (origin, fault string) {
	const form = "write scheme://host or scheme://host:port"
	switch {
	case len(text) > maxOrigin:
		return "", fmt.Sprintf("it is longer than %d bytes", maxOrigin)
	case text == "null":
		return "", "browsers send null for any page without an origin, so it would allow everyone"
	case strings.Contains(text, "*"):
		return "", "there are no wildcards; name each origin"
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Scheme == "" || u.Scheme == "file":
		return "", form
	case u.User != nil || u.Path != "" || u.RawQuery != "" || u.ForceQuery || strings.Contains(text, "#"):
		return "", "an origin ends after the host or port, without a slash; " + form
	}
	host, fault := normalHost(u.Hostname(), strings.HasPrefix(u.Host, "["))
	if fault != "" {
		return "", fault
	}
	port := u.Port()
	if port == "" && strings.HasSuffix(u.Host, ":") {
		return "", form
	}
	if port != "" {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return "", "the port must be 1 to 65535"
		}
		port = ":" + strconv.FormatUint(n, 10)
	}
	if u.Scheme == "https" && port == ":443" || u.Scheme == "http" && port == ":80" {
		port = "" // browsers omit it
	}
	return u.Scheme + "://" + host + port, ""
}

const hostCharacters = "abcdefghijklmnopqrstuvwxyz0123456789.-_"

func normalHost(host string, bracketed bool) (normal, fault string) {
	if bracketed {
		ip, err := netip.ParseAddr(host)
		if err != nil || !ip.Is6() || ip.Zone() != "" {
			return "", "the brackets must contain an IPv6 address"
		}
		return "[" + ip.String() + "]", ""
	}
	host = strings.ToLower(host)
	for _, c := range []byte(host) {
		switch {
		case c >= 0x80:
			return "", "write the host as browsers send it, in ASCII (xn--…)"
		case strings.IndexByte(hostCharacters, c) < 0:
			return "", fmt.Sprintf("%q is not allowed in a host", c)
		}
	}
	return host, ""
}

// indexOrigins removes one key from the index of origins and adds another; either may be nil.
func (s *snapshot) indexOrigins(before, next *keyState) {
	if before != nil {
		for _, origin := range before.Origins {
			named := slices.DeleteFunc(slices.Clone(s.origins.Get(origin)), func(k *keyState) bool { return k == before })
			s.origins.Set(origin, named)
		}
	}
	if next != nil {
		for _, origin := range next.Origins {
			s.origins.Set(origin, append(slices.Clip(s.origins.Get(origin)), next))
		}
	}
}

// OriginNamed reports whether any valid key names an origin. It takes no lock, and notes no use.
func (r *Registry) OriginNamed(origin string) bool {
	s := r.current.Load()
	return slices.ContainsFunc(s.origins.Get(origin), s.valid)
}
