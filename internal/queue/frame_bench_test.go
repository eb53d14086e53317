package queue

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/uuid"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"

	"theeye/internal/event"
)

// benchBody is the body of a frame with n events like those of `eye bench`: three types, six pages,
// sessions of 8 to 16 events of which 16 are open, random ids.
func benchBody(n int) []byte {
	var seed [32]byte
	r := rand.New(rand.NewChaCha8(seed))
	const received = event.Micros(1_767_258_927_000_000)
	id := func(version byte) (u uuid.UUID) {
		binary.LittleEndian.PutUint64(u[:8], r.Uint64())
		binary.LittleEndian.PutUint64(u[8:], r.Uint64())
		if version == 7 {
			ms := uint64(received) / 1000
			binary.BigEndian.PutUint16(u[:2], uint16(ms>>32))
			binary.BigEndian.PutUint32(u[2:6], uint32(ms))
		}
		u[6], u[8] = u[6]&0x0f|version<<4, u[8]&0x3f|0x80
		return u
	}
	const page = `{"host":"www.consumeraffairs.com","path":"%s"%s}`
	paths := []string{"/", "/solar-energy/", "/movers/", "/home-warranty/", "/hearing-aids/reviews", "/about/"}
	elements := []string{"chat bubble", "get quotes", "read more", "compare", "call now", "newsletter"}
	var sessions [16]struct {
		id        string
		seq, left int64
	}
	sender := "bench-" + hex.EncodeToString(seed[:4])
	var body []byte
	for i := range n {
		s := &sessions[i%len(sessions)]
		if s.left == 0 {
			s.id, s.seq, s.left = id(4).String(), 0, 8+r.Int64N(9)
		}
		// A batch is made within a millisecond or so.
		at := received - event.Micros(1000-i*1000/n)
		e := event.Event{
			App: "shop", ID: id(7), SessionID: s.id, Category: "page interaction", Name: "pageview",
			Timestamp: at.String(), SentTime: at, OccurredAt: at, ReceivedAt: received, Seq: s.seq, Sender: sender, SchemaVersion: 1,
		}
		p := r.IntN(len(paths))
		switch kind := r.IntN(10); {
		case kind < 6:
			e.Data = fmt.Appendf(nil, page, paths[p], "")
		case kind < 9:
			e.Name, e.Data = "cta click", fmt.Appendf(nil, page, paths[p], `,"element":"`+elements[p]+`"`)
		default:
			e.Category, e.Name = "form interaction", "submit"
			e.Data = fmt.Appendf(nil, page, paths[p], fmt.Sprintf(`,"form":{"first_name":"John","last_name":"Doe %d"}`, p))
		}
		s.seq++
		s.left--
		body = event.AppendRecord(body, event.Record{Event: &e}, false)
	}
	return body
}

// BenchmarkCompression measures the alternatives of docs/adr/0005-frame-compression.md.
func BenchmarkCompression(b *testing.B) {
	type codec struct {
		name   string
		encode func(to, from []byte) []byte
		decode func(to, from []byte) ([]byte, error)
	}
	codecs := []codec{
		{"s2", s2.Encode, s2.Decode},
		{"s2-better", s2.EncodeBetter, s2.Decode},
	}
	for _, level := range []zstd.EncoderLevel{zstd.SpeedFastest, zstd.SpeedDefault} {
		w, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(level), zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false))
		if err != nil {
			b.Fatal(err)
		}
		r, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(r.Close)
		codecs = append(codecs, codec{
			"zstd-" + level.String(),
			func(to, from []byte) []byte { return w.EncodeAll(from, to[:0]) },
			func(to, from []byte) ([]byte, error) { return r.DecodeAll(from, to[:0]) },
		})
	}
	for _, events := range []int{1, 200, 2000} {
		body := benchBody(events)
		for _, c := range codecs {
			packed := c.encode(make([]byte, s2.MaxEncodedLen(len(body))), body)
			report := func(b *testing.B) {
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*events), "ns/event")
				b.ReportMetric(float64(len(packed))/float64(events), "B/event")
				b.ReportMetric(float64(len(body))/float64(events), "unpackedB/event")
				b.ReportMetric(0, "ns/op")
			}
			b.Run(fmt.Sprintf("events=%d/codec=%s/encode", events, c.name), func(b *testing.B) {
				to := make([]byte, s2.MaxEncodedLen(len(body)))
				for b.Loop() {
					c.encode(to, body)
				}
				report(b)
			})
			b.Run(fmt.Sprintf("events=%d/codec=%s/decode", events, c.name), func(b *testing.B) {
				to := make([]byte, len(body))
				for b.Loop() {
					if _, err := c.decode(to, packed); err != nil {
						b.Fatal(err)
					}
				}
				report(b)
			})
		}
	}
}
