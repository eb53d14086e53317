package theeye

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"time"
)

// appendUUID appends a UUID of version 7 (RFC 9562), which begins with the time in milliseconds.
func appendUUID(b []byte, at time.Time) []byte {
	var id [16]byte
	_, _ = rand.Read(id[6:]) // never fails
	milliseconds := uint64(at.UnixMilli())
	binary.BigEndian.PutUint16(id[:], uint16(milliseconds>>32))
	binary.BigEndian.PutUint32(id[2:], uint32(milliseconds))
	id[6] = id[6]&0x0f | 0x70
	id[8] = id[8]&0x3f | 0x80
	for i, part := range [][]byte{id[:4], id[4:6], id[6:8], id[8:10], id[10:]} {
		if i > 0 {
			b = append(b, '-')
		}
		b = hex.AppendEncode(b, part)
	}
	return b
}

func newUUID(at time.Time) string { return string(appendUUID(nil, at)) }

// newName returns a random name.
func newName() string {
	var name [10]byte
	_, _ = rand.Read(name[:])
	return hex.EncodeToString(name[:])
}
