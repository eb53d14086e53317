package intake

import (
	"bytes"
	"compress/flate"
	"io"
	"sync"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
)

// unpackers holds pools of decoders and buffers, which are large.
type unpackers struct {
	buffers, gzips, zstds sync.Pool
}

// buffer returns an empty buffer from the pool, or nil if there is none.
func (u *unpackers) buffer() []byte {
	b, _ := u.buffers.Get().(*[]byte)
	if b == nil {
		return nil
	}
	return (*b)[:0]
}

// keep returns a buffer to the pool, unless its size is not worth it.
func (u *unpackers) keep(b []byte) {
	if cap(b) > minPooledBuffer && cap(b) <= maxPooledBuffer {
		u.buffers.Put(&b)
	}
}

// windowOf returns the maximum memory of a decoder for an encoding, or 0 for an encoding that is
// not supported.
func windowOf(encoding string) int64 {
	switch encoding {
	case "gzip", "x-gzip", "deflate":
		return 64 << 10
	case "zstd":
		return zstdWindow
	case "br":
		return 16 << 20 // RFC 7932, 9.1
	}
	return 0
}

const zstdWindow = 8 << 20 // RFC 8878, 3.1.1.1.2

// reader returns a reader of the decompressed body; done returns the decoder to its pool.
func (u *unpackers) reader(encoding string, packed io.Reader) (unpacked io.Reader, done func()) {
	done = func() {}
	switch encoding {
	case "gzip", "x-gzip":
		z, _ := u.gzips.Get().(*gzip.Reader)
		if z == nil {
			z = new(gzip.Reader)
		}
		if err := z.Reset(packed); err != nil {
			return failing{err}, done
		}
		return z, func() { u.gzips.Put(z) }
	case "deflate":
		return deflate(packed), done
	case "br":
		return brotli.NewReader(packed), done
	case "zstd":
		z, _ := u.zstds.Get().(*zstd.Decoder)
		if z == nil {
			var err error
			if z, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(zstdWindow), zstd.WithDecoderLowmem(true)); err != nil {
				return failing{err}, done
			}
		}
		if err := z.Reset(packed); err != nil {
			return failing{err}, done
		}
		return z, func() { _ = z.Reset(nil); u.zstds.Put(z) }
	}
	return packed, done
}

// deflate decompresses what RFC 9110 calls deflate (zlib), and the raw stream to which some senders
// give the same name.
func deflate(packed io.Reader) io.Reader {
	head := make([]byte, 2)
	n, err := io.ReadFull(packed, head)
	whole := io.MultiReader(bytes.NewReader(head[:n]), packed)
	if err != nil {
		return failing{err}
	}
	if head[0]&0x0f == 8 && (int(head[0])<<8|int(head[1]))%31 == 0 {
		z, err := zlib.NewReader(whole)
		if err != nil {
			return failing{err}
		}
		return z
	}
	return flate.NewReader(whole)
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
