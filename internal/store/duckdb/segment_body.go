package duckdb

import (
	"fmt"

	"github.com/klauspost/compress/zstd"

	"theeye/internal/event"
)

// packer compresses the bodies of rejections. Its methods may be called concurrently.
type packer struct {
	encoder *zstd.Encoder
	decoder *zstd.Decoder
}

const (
	leastPacked  = 64       // smaller bodies are left as they are, in bytes
	mostUnpacked = 64 << 20 // of a body; larger ones are not believed
)

func newPacker() (packer, error) {
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return packer{}, fmt.Errorf("prepare to compress: %w", err)
	}
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(4), zstd.WithDecoderMaxMemory(mostUnpacked), zstd.WithDecoderLowmem(true))
	if err != nil {
		return packer{}, fmt.Errorf("prepare to decompress: %w", err)
	}
	return packer{encoder, decoder}, nil
}

// pack returns a body as it is stored, and whether that is compressed.
func (p packer) pack(raw []byte) (stored []byte, packed bool) {
	if len(raw) < leastPacked {
		return raw, false
	}
	if stored = p.encoder.EncodeAll(raw, nil); len(stored) < len(raw) {
		return stored, true
	}
	return raw, false
}

// body is what is stored of a rejection's body.
type body struct {
	stored []byte
	packed bool
	whole  int64
	sha256 []byte
}

// unpack sets the body of a rejection.
func (p packer) unpack(b body, r *event.Rejection) (err error) {
	if r.Raw = b.stored; b.packed {
		if r.Raw, err = p.decoder.DecodeAll(b.stored, nil); err != nil {
			return fmt.Errorf("decompress the body of rejection %s: %w", r.ID, err)
		}
	}
	if b.whole > 0 {
		r.Whole = event.Body{Bytes: b.whole}
		copy(r.Whole.SHA256[:], b.sha256)
	}
	return nil
}
