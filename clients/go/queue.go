package theeye

import "time"

// entry is an encoded event.
type entry struct {
	event []byte
	at    time.Duration // when it was queued
	era   *era          // of its timestamp; nil for that of another process
}

// queue holds the events in memory. Events are numbered in the order in which they were tracked.
type queue struct {
	entries []entry
	bytes   int
	first   uint64 // the number of entries[0]
}

// end returns the number of the next event.
func (q *queue) end() uint64 { return q.first + uint64(len(q.entries)) }

func (q *queue) push(e entry) {
	q.entries = append(q.entries, e)
	q.bytes += len(e.event)
}

// at returns the event of a number, if it is in memory.
func (q *queue) at(number uint64) (entry, bool) {
	if number < q.first || number >= q.end() {
		return entry{}, false
	}
	return q.entries[number-q.first], true
}

// forget removes the events before a number.
func (q *queue) forget(number uint64) {
	if number <= q.first {
		return
	}
	n := min(number-q.first, uint64(len(q.entries)))
	for _, e := range q.entries[:n] {
		q.bytes -= len(e.event)
	}
	clear(q.entries[:n])
	q.entries = q.entries[n:]
	q.first = number
}
