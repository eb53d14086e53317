package queue

import (
	"bytes"
	"encoding/binary"
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

func FuzzDecodeFrame(f *testing.F) {
	payload, err := encodeFrame(Frame{Counts: []Count{{"shop", 2, 1}}, Body: []byte("the records of a frame")})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(payload[prefixLength:])
	f.Add([]byte{})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, rest []byte) {
		// A right checksum lets the fuzzer reach what lies behind it.
		b := append([]byte(magic), frameVersion, codecS2, 0, 0, 0, 0)
		binary.LittleEndian.PutUint32(b[6:], castagnoli(rest))
		if frame, err := decodeFrame(append(b, rest...)); err == nil && len(frame.Body) > MaxBody {
			t.Errorf("a body of %d bytes", len(frame.Body))
		}
	})
}
