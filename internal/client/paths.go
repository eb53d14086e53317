package client

import (
	"net/url"
	"strings"
)

// AppPath returns the path of an application.
func AppPath(app string) string { return "/v1/apps/" + Segment(app) }

// KeysPath returns the path of the keys of an application, or of those of all applications for "".
func KeysPath(app string) string {
	if app == "" {
		return "/v1/keys"
	}
	return "/v1/apps/" + Segment(app) + "/keys"
}

// TypePath returns the path of an event type.
func TypePath(category, name string) string {
	return "/v1/types/" + Segment(category) + "/" + Segment(name)
}

// Segment returns text as one segment of a path, of a URL or of a file system.
// Dots alone would be taken for the folder itself or the one above, and a file
// whose name begins with one would be hidden.
func Segment(text string) string {
	rest := strings.TrimLeft(text, ".")
	return strings.Repeat("%2E", len(text)-len(rest)) + url.PathEscape(rest)
}
