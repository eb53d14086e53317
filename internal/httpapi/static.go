package httpapi

import (
	"bytes"
	"mime"
	"net/http"
	"path"
	"time"

	"theeye/internal/ui"
)

// Values of Cache-Control for files.
const (
	unchanging = "public, max-age=31536000, immutable" // for a name that contains a hash of the content
	revalidate = "no-cache"                            // asks each time; the answer is usually 304
)

// sendFile answers with a file of the program, compressed if the caller accepts that. The type
// follows from the name.
func (c *Call) sendFile(name, caching string, file ui.File) error {
	h := c.w.Header()
	h.Set("Content-Type", contentType(path.Ext(name)))
	h.Set("Cache-Control", caching)
	h.Set("ETag", `W/"`+file.Hash+`"`) // weak: one for both encodings
	h.Set("Vary", "Accept-Encoding")
	content := file.Text
	if AcceptedEncoding(c.Header.Values("Accept-Encoding"), "gzip") == "gzip" {
		if packed := file.Packed(); packed != nil {
			h.Set("Content-Encoding", "gzip")
			content = packed
		}
	}
	http.ServeContent(c.w, c.Request, name, time.Time{}, bytes.NewReader(content))
	return nil
}

// contentType does not depend on the machine, unlike mime.TypeByExtension, for the files that the
// program has.
func contentType(extension string) string {
	switch extension {
	case ".html":
		return "text/html; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	case ".json", ".map":
		return "application/json"
	case ".woff2":
		return "font/woff2"
	case ".png":
		return "image/png"
	}
	if known := mime.TypeByExtension(extension); known != "" {
		return known
	}
	return "application/octet-stream"
}
