package duckdb

import (
	"hash/maphash"

	"github.com/google/uuid"

	"theeye/internal/event"
)

// idKey is an event's identity in memory.
type idKey struct {
	app uint32
	id  uuid.UUID
}

// arrival is what is kept in memory of a stored event. Its hash tells a repeated
// event without reading the stored one: to read a few hundred of a million rows
// takes as long as to write a batch.
type arrival struct {
	carriedBy uint64 // the frame
	body      uint64 // bodyHash
}

// erasedID is what is known of the arrivals with one id that were erased: the last frame that carried
// one, and the last time at which one was received.
type erasedID struct {
	carriedBy  uint64
	receivedAt event.Micros
}

func (t trace) erasedID() erasedID { return erasedID{t.carriedBy, t.receivedAt} }

// and returns what is known with other arrivals. A replay comes later and was received earlier.
func (e erasedID) and(f erasedID) erasedID {
	return erasedID{max(e.carriedBy, f.carriedBy), max(e.receivedAt, f.receivedAt)}
}

// bodyHash is equal for events whose bodies are the same byte for byte, which
// is how a sender repeats them. Bodies that differ are equal once in 2^64; nobody
// can bring that about without knowing the seed, which is made at each start.
func (s *Store) bodyHash(e *event.Event) uint64 {
	return maphash.Comparable(s.seed, struct {
		session, category, name, timestamp, sender string
		seq                                        int64
		data                                       uint64
	}{e.SessionID, e.Category, e.Name, e.Timestamp, e.Sender, e.Seq, maphash.Bytes(s.seed, e.Data)})
}
