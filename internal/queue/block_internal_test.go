package queue

import (
	"encoding/binary"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

var updateBlocks = flag.Bool("update-blocks", false, "write testdata/blocks again, with the linked server")

// blockFixture is the block in testdata/blocks, which nats-server 2.15.2 wrote.
const blockFixture = "testdata/blocks/EYE_TEST-2.blk"

// fixtureSubjects are the subjects of the fixture's stream.
var fixtureSubjects = []string{"old.frames", "$KV.EYE_TEST.>"}

// writeBlock lets the linked server write a block with every kind of record.
func writeBlock(t *testing.T) []byte {
	t.Helper()
	dir := t.TempDir()
	q, err := Open(t.Context(), Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	stream, err := q.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "EYE_TEST", Subjects: fixtureSubjects, Storage: jetstream.FileStorage, FirstSeq: 7})
	if err != nil {
		t.Fatal(err)
	}
	put := func(subject, data string, header nats.Header) {
		t.Helper()
		if _, err := q.js.PublishMsg(t.Context(), &nats.Msg{Subject: subject, Data: []byte(data), Header: header}); err != nil {
			t.Fatal(err)
		}
	}
	put("old.frames", "EYEF with a header", nats.Header{"Eye-App": {"shop 3 1", "blog 1 0"}})
	put("old.frames", "EYEF without", nil)
	put("old.frames", "erased", nil)
	put("$KV.EYE_TEST.app.1", `{"app":"shop"}`, nats.Header{"Nats-Expected-Last-Subject-Sequence": {"0"}})
	put("old.frames", "deleted", nil)
	put("old.frames", "", nil)
	if err := stream.SecureDeleteMsg(t.Context(), 9); err != nil {
		t.Fatal(err)
	}
	if err := stream.DeleteMsg(t.Context(), 11); err != nil {
		t.Fatal(err)
	}
	q.Close()
	b, err := os.ReadFile(filepath.Join(dir, "jetstream", "$G", "streams", "EYE_TEST", "msgs", "2.blk"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// content is the content of a record, without its time.
type content struct {
	Sequence uint64
	Removed  bool
	Subject  string
	Header   string
	Payload  string
}

var blockContent = []content{
	{6, true, "", "", ""}, // the server notes where a stream begins
	{7, false, "old.frames", "NATS/1.0\r\nEye-App: shop 3 1\r\nEye-App: blog 1 0\r\n\r\n", "EYEF with a header"},
	{8, false, "old.frames", "", "EYEF without"},
	{9, true, "", "", ""},
	{10, false, "$KV.EYE_TEST.app.1", "NATS/1.0\r\nNats-Expected-Last-Subject-Sequence: 0\r\n\r\n", `{"app":"shop"}`},
	{11, false, "old.frames", "", "deleted"},
	{12, false, "old.frames", "", ""},
	{9, true, "", "", ""},
	{11, true, "", "", ""},
}

func contentOf(t *testing.T, b []byte) (list []content) {
	t.Helper()
	err := newBlockReader("EYE_TEST", 2, fixtureSubjects).walk(b, func(_ int, x blockRecord) {
		list = append(list, content{x.sequence, x.removed, x.subject, string(x.header), string(x.payload)})
	})
	if err != nil {
		t.Error(err)
	}
	return list
}

// This reader and the linked server agree on the form of a block. If this test fails after an
// upgrade of nats-server, block.go must learn the new format and still read the old one.
func TestBlockFormIsTheServers(t *testing.T) {
	b := writeBlock(t)
	if diff := cmp.Diff(blockContent, contentOf(t, b)); diff != "" {
		t.Errorf("nats-server %s: %s", server.VERSION, diff)
	}
	if *updateBlocks {
		if err := os.WriteFile(blockFixture, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	fixture, err := os.ReadFile(blockFixture)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(blockContent, contentOf(t, fixture)); diff != "" {
		t.Error(diff)
	}
}

// Each flipped bit, and each byte that is missing within a block, is noticed.
func TestBlockDamageIsNoticed(t *testing.T) {
	fixture, err := os.ReadFile(blockFixture)
	if err != nil {
		t.Fatal(err)
	}
	r := newBlockReader("EYE_TEST", 2, fixtureSubjects)
	for at := range fixture {
		for bit := range 8 {
			b := append([]byte(nil), fixture...)
			b[at] ^= 1 << bit
			bad, ok := errors.AsType[*BlockError](r.walk(b, nil))
			if !ok || bad.Offset > at {
				t.Errorf("bit %d of byte %d: %v", bit, at, bad)
			}
			if bad != nil && bad.Torn {
				t.Errorf("bit %d of byte %d: taken for a torn record: %v", bit, at, bad)
			}
		}
		lost := append(append([]byte(nil), fixture[:at]...), fixture[at+1:]...)
		if err := r.walk(lost, nil); err == nil {
			t.Errorf("byte %d is lost: not noticed", at)
		}
	}
}

// A block whose last record was written in part is distinguished from a damaged one.
func TestBlockTornRecord(t *testing.T) {
	fixture, err := os.ReadFile(blockFixture)
	if err != nil {
		t.Fatal(err)
	}
	r := newBlockReader("EYE_TEST", 2, fixtureSubjects)
	begins := map[int]bool{len(fixture): true}
	if err := r.walk(fixture, func(offset int, _ blockRecord) { begins[offset] = true }); err != nil {
		t.Fatal(err)
	}
	for n := range fixture {
		bad, ok := errors.AsType[*BlockError](r.walk(fixture[:n], nil))
		if ok == begins[n] || ok && !bad.Torn {
			t.Errorf("the first %d bytes: %v", n, bad)
		}
	}
	for name, tail := range map[string]string{
		"zeros":           strings.Repeat("\x00", 64),
		"short zeros":     "\x00\x00\x00\x00",
		"a great length":  "\xff\xff\xff\x7f" + strings.Repeat("\x01", 60),
		"another subject": "\x40\x00\x00\x00" + "\x0d\x00\x00\x00\x00\x00\x00\x00" + "12345678" + "\x0a\x00" + "not.frames",
		"another header":  "\x40\x00\x00\x80" + "\x0d\x00\x00\x00\x00\x00\x00\x00" + "12345678" + "\x0a\x00" + "old.frames" + "\x10\x00\x00\x00HTTP",
	} {
		bad, ok := errors.AsType[*BlockError](r.walk(append(append([]byte(nil), fixture...), tail...), nil))
		if !ok || bad.Torn || bad.Offset != len(fixture) {
			t.Errorf("%s after the last record: %v", name, bad)
		}
	}
}

func TestBlockSubjects(t *testing.T) {
	for _, c := range []struct {
		subject, filter string
		want            bool
	}{
		{"old.frames", "old.frames", true},
		{"eye.frame", "old.frames", false},
		{"old.frames.more", "old.frames", false},
		{"eye", "old.frames", false},
		{"$KV.B.a.b", "$KV.B.>", true},
		{"$KV.B", "$KV.B.>", false},
		{"$KV.B.", "$KV.B.>", false},
		{"a.b.c", "a.*.c", true},
		{"a.b", "a.*.c", false},
		{"a..c", "a.*.c", false},
		{"anything", ">", true},
	} {
		if got := matches(c.subject, c.filter); got != c.want {
			t.Errorf("matches(%q, %q) = %v", c.subject, c.filter, got)
		}
	}
}

func FuzzBlock(f *testing.F) {
	fixture, err := os.ReadFile(blockFixture)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(fixture)
	f.Add(fixture[:100])
	f.Fuzz(func(t *testing.T, b []byte) {
		at := 0
		err := newBlockReader("EYE_TEST", 2, nil).walk(b, func(offset int, x blockRecord) {
			if offset != at || x.size < minRecordBytes || len(x.header)+len(x.payload) > x.size {
				t.Errorf("a record of %d bytes at %d, the one before ended at %d", x.size, offset, at)
			}
			at += x.size
		})
		if err == nil && at != len(b) {
			t.Errorf("%d of %d bytes read", at, len(b))
		}
	})
}

func BenchmarkBlock(b *testing.B) {
	r := newBlockReader("EYE_FRAMES", 1, nil)
	for _, c := range []struct {
		name string
		size int
	}{{"frames of 1 KiB", 1 << 10}, {"frames of 512 KiB", 512 << 10}} {
		b.Run(c.name, func(b *testing.B) {
			block := sealed(r, c.size, 8<<20/c.size)
			b.SetBytes(int64(len(block)))
			for b.Loop() {
				if err := r.walk(block, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// sealed returns n records with payloads of the given size.
func sealed(r *blockReader, size, n int) (block []byte) {
	for i := range n {
		x := make([]byte, recordHead, minRecordBytes+len(subject)+size)
		binary.LittleEndian.PutUint32(x, uint32(cap(x)))
		binary.LittleEndian.PutUint64(x[4:], uint64(i+1))
		binary.LittleEndian.PutUint16(x[20:], uint16(len(subject)))
		x = append(append(x, subject...), make([]byte, size)...)
		r.sum.Reset()
		_, _ = r.sum.Write(x[4:20])
		_, _ = r.sum.Write(x[recordHead:])
		block = append(block, r.sum.Sum(x)...)
	}
	return block
}
