package duckdb

import (
	"hash/maphash"

	"github.com/google/uuid"

	"theeye/internal/event"
)

// known describes the rows of a memtable, so that repeated arrivals are recognised without a query.
type known struct {
	events     map[idKey]knownEvent   // by the event's id
	rejections map[uuid.UUID]struct{} // by the rejection's id, which the application is part of
	erased     map[idKey]lastErased   // arrivals that were erased on arrival, by the event's id
}

func newKnown() known {
	return known{map[idKey]knownEvent{}, map[uuid.UUID]struct{}{}, map[idKey]lastErased{}}
}

// idKey identifies an event in memory.
type idKey struct {
	app uint32
	id  uuid.UUID
}

// knownEvent is what is kept in memory of a stored event. Its hash recognises a repeated event
// without reading the stored one: reading a few hundred of a million rows takes as long as writing
// a batch.
type knownEvent struct {
	carriedBy uint64 // the frame
	hash      uint64 // bodyHash
}

// lastErased describes the erased arrivals with one id: the last frame that carried one, and the
// latest time of receipt.
type lastErased struct {
	carriedBy  uint64
	receivedAt event.Micros
}

func (t residue) lastErased() lastErased { return lastErased{t.carriedBy, t.receivedAt} }

// merge returns the maxima of both. They may come from different arrivals: a replay has a later
// frame and an earlier time of receipt than others.
func (e lastErased) merge(f lastErased) lastErased {
	return lastErased{max(e.carriedBy, f.carriedBy), max(e.receivedAt, f.receivedAt)}
}

// bodyHash returns a hash that is equal for events whose bodies are byte-identical, as a sender
// repeats them. Different bodies collide once in 2^64, and nobody can force a collision without
// knowing the seed, which is chosen at each start.
func (s *Store) bodyHash(e *event.Event) uint64 {
	return maphash.Comparable(s.seed, struct {
		session, category, name, timestamp, sender string
		seq                                        int64
		data                                       uint64
	}{e.SessionID, e.Category, e.Name, e.Timestamp, e.Sender, e.Seq, maphash.Bytes(s.seed, e.Data)})
}
