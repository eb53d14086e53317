package queue

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFrameRoundTrip(t *testing.T) {
	frames := map[string]Frame{
		"empty":    {},
		"one app":  {Counts: []Count{{"shop", 2, 1}}, Body: []byte("records")},
		"two apps": {Counts: []Count{{"shop", 1 << 31, 1}, {"blog", 0, 0}}, Body: bytes.Repeat([]byte("x"), 1<<20)},
	}
	for name, want := range frames {
		t.Run(name, func(t *testing.T) {
			payload, err := encodeFrame(want)
			if err != nil {
				t.Fatal(err)
			}
			got, err := decodeFrame(payload)
			if err != nil {
				t.Fatal(err)
			}
			if want.Body == nil {
				got.Body = nil
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Every single damaged byte is noticed.
func TestDamagedByteIsFound(t *testing.T) {
	payload, err := encodeFrame(Frame{Counts: []Count{{"shop", 2, 1}}, Body: []byte("the records of a frame")})
	if err != nil {
		t.Fatal(err)
	}
	for i := range payload {
		damaged := bytes.Clone(payload)
		damaged[i] ^= 0x10
		if _, err := decodeFrame(damaged); err == nil {
			t.Errorf("byte %d of %d was changed and not noticed", i, len(payload))
		}
		if _, err := decodeFrame(payload[:i]); err == nil {
			t.Errorf("cut to %d of %d bytes and not noticed", i, len(payload))
		}
	}
}

// The checksum distinguishes a frame of a newer version from a damaged one. Frames of version 1 are
// read.
func TestFrameVersions(t *testing.T) {
	whole, err := encodeFrame(Frame{Counts: []Count{{"shop", 2, 1}}, Body: []byte("records")})
	if err != nil {
		t.Fatal(err)
	}
	variant := func(version, codec byte, seal func([]byte) uint32) []byte {
		b := bytes.Clone(whole)
		b[4], b[5] = version, codec
		binary.LittleEndian.PutUint32(b[checksumAt:], seal(b))
		return b
	}
	rest := func(b []byte) uint32 { return crc32.Checksum(b[prefixLength:], crc32.MakeTable(crc32.Castagnoli)) }
	stale := func([]byte) uint32 { return checksum(whole) }
	for name, test := range map[string]struct {
		payload []byte
		newer   bool
		ok      bool
	}{
		"version 1":                         {variant(1, 1, rest), false, true},
		"version 2":                         {whole, false, true},
		"version 3":                         {variant(3, 1, checksum), true, false},
		"version 2, another compression":    {variant(2, 9, checksum), true, false},
		"version 1, another compression":    {variant(1, 9, rest), false, false},
		"version 3 by a flipped bit":        {variant(3, 1, stale), false, false},
		"version 1 by a flipped bit":        {variant(1, 1, stale), false, false},
		"compression 9 by a flipped bit":    {variant(2, 9, stale), false, false},
		"version 3 with a checksum as in 1": {variant(3, 1, rest), false, false},
	} {
		_, err := decodeFrame(test.payload)
		if errors.Is(err, ErrNewer) != test.newer || (err == nil) != test.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzDecodeFrame(f *testing.F) {
	payload, err := encodeFrame(Frame{Counts: []Count{{"shop", 2, 1}}, Body: []byte("the records of a frame")})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(payload[prefixLength:])
	f.Add([]byte{})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, rest []byte) {
		// With a correct checksum, the fuzzer reaches the code after that check.
		b := append(append([]byte(magic), frameVersion, codecS2, 0, 0, 0, 0), rest...)
		binary.LittleEndian.PutUint32(b[checksumAt:], checksum(b))
		if frame, err := decodeFrame(b); err == nil && len(frame.Body) > MaxBody {
			t.Errorf("a body of %d bytes", len(frame.Body))
		}
	})
}
