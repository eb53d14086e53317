package bench

import (
	crand "crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"theeye/internal/demo"
)

// generator makes batches of realistic events as fast as a bench needs them: their text is rendered
// in advance, and only ids, session, time and seq are inserted. It is safe for concurrent use.
type generator struct {
	batch    int
	variants []variant
	makers   sync.Pool
}

// variant is the text of an event, without its session and its time.
type variant struct{ afterSession string }

// maker makes events for one worker at a time.
type maker struct {
	rand     *rand.ChaCha8
	pick     *rand.Rand
	sender   string
	sessions [16]session
	next     int
}

type session struct {
	id   [36]byte
	seq  int
	left int
}

// Sizes of a session, in events.
const (
	shortestSession = 8
	longestSession  = 16
	benchEventBytes = 400 // of the longest event, about
)

func newGenerator(batch int) *generator {
	l := &generator{batch: batch}
	add := func(weight int, category, name, data string) {
		v := variant{`","category":"` + demo.Category(app, category) + `","name":"` + name + `","data":` + data + `,"timestamp":"`}
		for range weight {
			l.variants = append(l.variants, v)
		}
	}
	const page = "page interaction"
	for i, path := range []string{"/", "/solar-energy/", "/movers/", "/home-warranty/", "/hearing-aids/reviews", "/about/"} {
		add(6, page, "pageview", fmt.Sprintf(`{"host":%q,"path":%q}`, demo.Host, path))
		add(3, page, "cta click", fmt.Sprintf(`{"host":%q,"path":%q,"element":%q}`, demo.Host, path,
			[]string{"chat bubble", "get quotes", "read more", "compare", "call now", "newsletter"}[i]))
		add(1, "form interaction", "submit", fmt.Sprintf(`{"host":%q,"path":%q,"form":{"first_name":"John","last_name":"Doe %d"}}`, demo.Host, path, i))
	}
	l.makers.New = func() any { return newMaker() }
	return l
}

func newMaker() *maker {
	var seed [32]byte
	_, _ = crand.Read(seed[:]) // never fails
	m := &maker{rand: rand.NewChaCha8(seed), sender: "bench-" + hex.EncodeToString(seed[:4])}
	m.pick = rand.New(m.rand) //nolint:gosec // ChaCha8 is seeded above
	return m
}

// body returns a batch as a JSON array. The caller owns it.
func (l *generator) body(now time.Time) []byte {
	m, _ := l.makers.Get().(*maker)
	defer l.makers.Put(m)
	b := make([]byte, 0, l.batch*benchEventBytes)
	b = append(b, '[')
	for i := range l.batch {
		if i > 0 {
			b = append(b, ',')
		}
		b = l.appendEvent(b, m, now)
	}
	return append(b, ']')
}

func (l *generator) appendEvent(b []byte, m *maker, now time.Time) []byte {
	s := &m.sessions[m.next%len(m.sessions)]
	m.next++
	if s.left == 0 {
		*s = session{left: shortestSession + m.pick.IntN(longestSession-shortestSession+1)}
		copy(s.id[:], m.appendUUID(nil, 4, now))
	}
	v := &l.variants[m.pick.IntN(len(l.variants))]
	b = append(b, `{"id":"`...)
	b = m.appendUUID(b, 7, now)
	b = append(b, `","session_id":"`...)
	b = append(b, s.id[:]...)
	b = append(b, v.afterSession...)
	b = now.UTC().AppendFormat(b, "2006-01-02T15:04:05.000000Z")
	b = append(b, `","seq":`...)
	b = strconv.AppendInt(b, int64(s.seq), 10)
	b = append(b, `,"sender":"`...)
	b = append(b, m.sender...)
	b = append(b, `"}`...)
	s.seq++
	s.left--
	return b
}

// appendUUID appends a random UUID of version 4 or 7 (RFC 9562).
func (m *maker) appendUUID(b []byte, version byte, now time.Time) []byte {
	var u [16]byte
	binary.NativeEndian.PutUint64(u[:8], m.rand.Uint64())
	binary.NativeEndian.PutUint64(u[8:], m.rand.Uint64())
	if version == 7 {
		ms := uint64(now.UnixMilli())
		binary.BigEndian.PutUint16(u[:2], uint16(ms>>32))
		binary.BigEndian.PutUint32(u[2:6], uint32(ms))
	}
	u[6] = u[6]&0x0f | version<<4
	u[8] = u[8]&0x3f | 0x80
	b = hex.AppendEncode(b, u[:4])
	for _, part := range [][]byte{u[4:6], u[6:8], u[8:10], u[10:]} {
		b = append(b, '-')
		b = hex.AppendEncode(b, part)
	}
	return b
}
