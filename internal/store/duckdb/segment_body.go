package duckdb

import (
	"fmt"

	"github.com/klauspost/compress/zstd"

	"theeye/internal/event"
)

// bodyCodec compresses the bodies of rejections. Its methods may be called concurrently.
type bodyCodec struct {
	encoder *zstd.Encoder
	decoder *zstd.Decoder
}

const (
	minCompressed   = 64       // in bytes; smaller bodies are not compressed
	maxDecompressed = 64 << 20 // in bytes; a larger body is an error
)

func newBodyCodec() (bodyCodec, error) {
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return bodyCodec{}, fmt.Errorf("prepare to compress: %w", err)
	}
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(4), zstd.WithDecoderMaxMemory(maxDecompressed), zstd.WithDecoderLowmem(true))
	if err != nil {
		return bodyCodec{}, fmt.Errorf("prepare to decompress: %w", err)
	}
	return bodyCodec{encoder, decoder}, nil
}

// compress returns a body as it is stored, and whether that is compressed.
func (c bodyCodec) compress(raw []byte) (stored []byte, packed bool) {
	if len(raw) < minCompressed {
		return raw, false
	}
	if stored = c.encoder.EncodeAll(raw, nil); len(stored) < len(raw) {
		return stored, true
	}
	return raw, false
}

// storedBody is what is stored of a rejection's body.
type storedBody struct {
	stored []byte
	packed bool
	whole  int64
	sha256 []byte
}

// decompress sets the body of a rejection to what is stored.
func (c bodyCodec) decompress(b storedBody, r *event.Rejection) (err error) {
	if r.Raw = b.stored; b.packed {
		if r.Raw, err = c.decoder.DecodeAll(b.stored, nil); err != nil {
			return fmt.Errorf("decompress the body of rejection %s: %w", r.ID, err)
		}
	}
	if b.whole > 0 {
		r.Whole = event.Body{Bytes: b.whole}
		copy(r.Whole.SHA256[:], b.sha256)
	}
	return nil
}
