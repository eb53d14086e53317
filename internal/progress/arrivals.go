package progress

import (
	"encoding/binary"
	"slices"
)

// arrivals counts the arrivals of acknowledged frames, by frame and application. While the store
// catches up, there may be as many as the queue has frames, so a frame takes only about five bytes
// for each of its applications.
type arrivals struct {
	names   []string       // of applications
	numbers map[string]int // indexes of names
	sums    []int64        // by number: what all chunks hold
	chunks  []chunk        // oldest first
}

// chunk holds the counts of frames in the order of their acknowledgement, which is about the order
// of the frames. Its content is only appended to, so a copy of a chunk can be read while more is
// added.
type chunk struct {
	base        uint64 // the frame that was acknowledged first
	least, most uint64 // of the frames
	counts      []byte // (frame − base, number of the application, arrivals), as varints
}

const chunkBytes = 32 << 10

func (a *arrivals) add(frame uint64, received map[string]int64) {
	if len(received) == 0 {
		return
	}
	last := len(a.chunks) - 1
	if last < 0 || len(a.chunks[last].counts) > chunkBytes {
		a.chunks = append(a.chunks, chunk{base: frame, least: frame, most: frame, counts: make([]byte, 0, chunkBytes+64)})
		last++
	}
	c := &a.chunks[last]
	c.least, c.most = min(c.least, frame), max(c.most, frame)
	for app, n := range received {
		number, ok := a.numbers[app]
		if !ok {
			if a.numbers == nil {
				a.numbers = map[string]int{}
			}
			number = len(a.names)
			a.numbers[app] = number
			a.names, a.sums = append(a.names, app), append(a.sums, 0)
		}
		a.sums[number] += n
		c.counts = binary.AppendVarint(c.counts, int64(frame-c.base))
		c.counts = binary.AppendUvarint(c.counts, uint64(number))
		c.counts = binary.AppendVarint(c.counts, n)
	}
}

// subtract subtracts the counts of frames up to a position from sums.
func (c chunk) subtract(position uint64, sums []int64) {
	for rest := c.counts; len(rest) > 0; {
		offset, n := binary.Varint(rest)
		number, m := binary.Uvarint(rest[n:])
		received, k := binary.Varint(rest[n+m:])
		rest = rest[n+m+k:]
		if c.base+uint64(offset) <= position {
			sums[number] -= received
		}
	}
}

// forget drops chunks of which all frames are up to a limit, and returns the greatest of these.
func (a *arrivals) forget(limit uint64) (most uint64) {
	n := 0
	for ; n < len(a.chunks) && a.chunks[n].most <= limit; n++ {
		a.chunks[n].subtract(limit, a.sums)
		most = max(most, a.chunks[n].most)
	}
	a.chunks = slices.Delete(a.chunks, 0, n)
	return most
}

// after returns a function that computes the arrivals of the frames after a position up to now. The
// function does not use a.
func (a *arrivals) after(position uint64) func() map[string]int64 {
	names, sums := a.names, slices.Clone(a.sums)
	chunks := slices.DeleteFunc(slices.Clone(a.chunks), func(c chunk) bool { return c.least > position })
	return func() map[string]int64 {
		for _, c := range chunks {
			c.subtract(position, sums)
		}
		received := map[string]int64{}
		for i, n := range sums {
			if n != 0 {
				received[names[i]] = n
			}
		}
		return received
	}
}
