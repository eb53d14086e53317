package read

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"theeye/internal/httpapi"
)

// errGone means that an answer cannot be sent, because the caller is gone or reads nothing.
var errGone = errors.New("the client has closed the connection")

// download is a long response in the format of a file. It begins with its first byte, so an error
// before that has a status of its own.
type download struct {
	c        *httpapi.Call
	format   format
	encoding string // of the content; empty for none
	size     int64  // of the answer; 0 if it is unknown
	begun    bool
}

func newDownload(c *httpapi.Call, f format) *download {
	d := &download{c: c, format: f}
	if f.encode != nil {
		d.encoding = httpapi.AcceptedEncoding(c.Header.Values("Accept-Encoding"), "zstd", "gzip")
	}
	return d
}

// begin sends the header. The connection ends with the answer.
func (d *download) begin() {
	d.begun = true
	h := d.c.Writer().Header()
	h.Set("Connection", "close")
	h.Set("Content-Type", d.format.mediaType)
	h.Set("Content-Disposition", `attachment; filename="`+d.format.fileName(time.Now())+`"`)
	if d.format.encode != nil {
		h.Set("Vary", "Accept-Encoding")
	}
	if d.encoding != "" {
		h.Set("Content-Encoding", d.encoding)
	}
	if d.size > 0 {
		h.Set("Content-Length", strconv.FormatInt(d.size, 10))
	}
	d.c.Writer().WriteHeader(http.StatusOK)
}

// Write sends bytes.
func (d *download) Write(b []byte) (int, error) {
	if !d.begun {
		d.begin()
	}
	n, err := d.c.Writer().Write(b)
	if err != nil {
		return n, errors.Join(errGone, err)
	}
	return n, nil
}

// packed returns a writer that compresses the content in an encoding that the caller accepts.
// finish flushes it.
func (d *download) packed() (w io.Writer, finish func() error, err error) {
	switch d.encoding {
	case "zstd":
		z, err := zstd.NewWriter(d, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
		if err != nil {
			return nil, nil, err
		}
		return z, z.Close, nil
	case "gzip":
		z, err := gzip.NewWriterLevel(d, gzip.BestSpeed)
		if err != nil {
			return nil, nil, err
		}
		return z, z.Close, nil
	}
	return d, func() error { return nil }, nil
}
