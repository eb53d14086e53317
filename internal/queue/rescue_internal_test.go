package queue

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const rescueName = "block-EYE_FRAMES-2-0123456789abcdef.blk"

// rescued returns the frames of a file, each as its sequence and the first byte of its body.
func rescued(t *testing.T, name string, content []byte) (list []string, damaged int) {
	t.Helper()
	damaged, err := Rescue(name, content, func(r Rescued) error {
		list = append(list, fmt.Sprintf("%d%c", r.Sequence, r.Body[0]))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list, damaged
}

// Every frame of a damaged block whose own checksum matches is found.
func TestRescueBlock(t *testing.T) {
	_, blocks := written(t, false)
	sound, err := os.ReadFile(blocks[0])
	if err != nil {
		t.Fatal(err)
	}
	at := offsets(t, sound)
	payload := func(n int) int { return at[n] + bytes.Index(sound[at[n]:], []byte(magic)) }
	for _, c := range []struct {
		name    string
		damage  func(b []byte) []byte
		want    string
		damaged int
	}{
		{"sound", func(b []byte) []byte { return b }, "1a 2b 3c 4d 5e 6f", 0},
		{"a bit of a payload", func(b []byte) []byte { b[payload(2)+12] ^= 1; return b }, "1a 2b 4d 5e 6f", 1},
		{"a bit of a checksum", func(b []byte) []byte { b[at[3]-1] ^= 1; return b }, "1a 2b 3c 4d 5e 6f", 0},
		{"a bit of a header", func(b []byte) []byte { b[at[2]+40] ^= 1; return b }, "1a 2b 3c 4d 5e 6f", 0},
		{"a bit of a length", func(b []byte) []byte { b[at[2]+1] ^= 1; return b }, "1a 2b 3c 4d 5e 6f", 0},
		{"a bit of a sequence", func(b []byte) []byte { b[at[2]+9] ^= 1; return b }, "1a 2b 3c 4d 5e 6f", 0},
		{"two lengths that follow each other", func(b []byte) []byte { b[at[2]+1] ^= 1; b[at[3]+1] ^= 1; return b }, "1a 2b 3c 4d 5e 6f", 0},
		{"zeros over a frame and the head of the next", func(b []byte) []byte { clear(b[at[1]+30 : at[2]+80]); return b }, "1a 2c 4d 5e 6f", 0}, // its number is not known
		{"zeros in two places", func(b []byte) []byte { clear(b[at[1] : at[1]+40]); clear(b[at[4] : at[4]+40]); return b }, "1a 2b 3c 4d 5e 6f", 0},
		{"a byte is missing", func(b []byte) []byte { return append(b[:payload(2)+12], b[payload(2)+13:]...) }, "1a 2b 4d 5e 6f", 1},
		{"the end is missing", func(b []byte) []byte { return b[:payload(5)+10] }, "1a 2b 3c 4d 5e", 1},
		{"the last checksum is cut", func(b []byte) []byte { return b[:len(b)-3] }, "1a 2b 3c 4d 5e 6f", 0},
		{"all is zero", func(b []byte) []byte { clear(b); return b }, "", 1},
		{"empty", func([]byte) []byte { return nil }, "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			list, damaged := rescued(t, rescueName, c.damage(bytes.Clone(sound)))
			if got := strings.Join(list, " "); got != c.want || damaged != c.damaged {
				t.Errorf("found %q and %d damaged places, want %q and %d", got, damaged, c.want, c.damaged)
			}
		})
	}
}

// A sender cannot plant a frame: bytes within a record are not a record, even if they look like one
// and the record around them is damaged.
func TestRescuePlanted(t *testing.T) {
	planted, err := encodeFrame(Frame{Counts: []Count{{App: "bank", Received: 1}}, Body: []byte("X")})
	if err != nil {
		t.Fatal(err)
	}
	r := newBlockReader(Stream, 2, []string{subject})
	inner := sealRecord(r, 1, planted)
	block := append(sealRecord(r, 1, append([]byte("noise "), inner...)), sealRecord(r, 2, planted)...)
	for _, flip := range []int{-1, 60, len(block) - len(sealRecord(r, 2, planted)) - 1} {
		b := bytes.Clone(block)
		if flip >= 0 {
			b[flip] ^= 1
		}
		list, _ := rescued(t, rescueName, b)
		if flip == 60 { // within the planted record
			continue
		}
		if diff := cmp.Diff([]string{"2X"}, list); diff != "" {
			t.Errorf("byte %d: %s", flip, diff)
		}
	}
}

func sealRecord(r *blockReader, sequence uint64, payload []byte) []byte {
	x := make([]byte, recordHead, minRecordBytes+len(subject)+len(payload))
	binary.LittleEndian.PutUint32(x, uint32(cap(x)))
	binary.LittleEndian.PutUint64(x[4:], sequence)
	binary.LittleEndian.PutUint16(x[20:], uint16(len(subject)))
	x = append(append(x, subject...), payload...)
	r.sum.Reset()
	_, _ = r.sum.Write(x[4:20])
	_, _ = r.sum.Write(x[recordHead:])
	return r.sum.Sum(x)
}

// No frame is returned if a newer version wrote any of them, and only files of the quarantine are
// read.
func TestRescueRefuses(t *testing.T) {
	old, err := encodeFrame(frameOf("a"))
	if err != nil {
		t.Fatal(err)
	}
	newer := bytes.Clone(old)
	newer[4] = frameVersion + 1
	binary.LittleEndian.PutUint32(newer[checksumAt:], checksum(newer))
	r := newBlockReader(Stream, 2, nil)
	for _, c := range []struct {
		name    string
		content []byte
		want    error
	}{
		{rescueName, append(sealRecord(r, 1, old), sealRecord(r, 2, newer)...), ErrNewer},
		{"frame-00000000000000000007", newer, ErrNewer},
		{"block-KV_EYE_METADATA-1-0123456789abcdef.blk", nil, ErrNoFrames},
		{"block-EYE_FRAMES-one-0123456789abcdef.blk", nil, ErrNoFrames},
		{"frame-one", old, ErrNoFrames},
		{"2.blk", nil, ErrNoFrames},
	} {
		_, err := Rescue(c.name, c.content, func(Rescued) error {
			t.Errorf("%s: a frame was given", c.name)
			return nil
		})
		if !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
	if list, damaged := rescued(t, "frame-00000000000000000007", old); len(list) != 1 || list[0] != "7a" || damaged != 0 {
		t.Errorf("found %v", list)
	}
	if list, damaged := rescued(t, "frame-00000000000000000007", []byte("EYEF and no more")); len(list) != 0 || damaged != 1 {
		t.Errorf("found %v", list)
	}
}

func frameOf(body string) Frame {
	return Frame{Counts: []Count{{App: "shop", Received: 1}}, Body: []byte(body)}
}

func FuzzRescue(f *testing.F) {
	payload, err := encodeFrame(frameOf("a"))
	if err != nil {
		f.Fatal(err)
	}
	r := newBlockReader(Stream, 2, nil)
	f.Add(append(sealRecord(r, 1, payload), sealRecord(r, 2, payload)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := Rescue(rescueName, b, func(Rescued) error { return nil }); err != nil && !errors.Is(err, ErrNewer) {
			t.Error(err)
		}
	})
}
