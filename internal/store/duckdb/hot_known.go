package duckdb

import (
	"hash/maphash"

	"github.com/google/uuid"

	"theeye/internal/event"
)

// known is what is remembered of the rows of a memtable, so that it can be told without a query
// whether an arrival repeats one of them.
type known struct {
	events     map[idKey]knownEvent   // by the event's id
	rejections map[uuid.UUID]struct{} // by the rejection's id, which the application is part of
	erased     map[idKey]lastErased   // arrivals that were erased when they came, by the event's id
}

func newKnown() known {
	return known{map[idKey]knownEvent{}, map[uuid.UUID]struct{}{}, map[idKey]lastErased{}}
}

// idKey is an event's identity in memory.
type idKey struct {
	app uint32
	id  uuid.UUID
}

// knownEvent is what is kept in memory of a stored event. Its hash tells a repeated event
// without reading the stored one: reading a few hundred of a million rows takes as long as writing
// a batch.
type knownEvent struct {
	carriedBy uint64 // the frame
	hash      uint64 // bodyHash
}

// lastErased is what is known of the arrivals with one id that were erased: the last frame that carried
// one, and the last time at which one was received.
type lastErased struct {
	carriedBy  uint64
	receivedAt event.Micros
}

func (t residue) lastErased() lastErased { return lastErased{t.carriedBy, t.receivedAt} }

// merge returns what is known with other arrivals. A replay comes later and was received earlier.
func (e lastErased) merge(f lastErased) lastErased {
	return lastErased{max(e.carriedBy, f.carriedBy), max(e.receivedAt, f.receivedAt)}
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
