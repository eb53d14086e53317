package theeye

import "strings"

// Bounds of what counting takes in memory.
const (
	sessionsBytes   = 8 << 20
	bytesPerSession = 100 // besides the session id
)

// sequence counts the events of each session. When it has counted in so many sessions that they would
// take more than 8 MiB (about 60,000), it takes another name and begins anew.
type sequence struct {
	sender string
	counts map[string]uint64
	bytes  int
}

func newSequence() sequence {
	return sequence{sender: newName(), counts: map[string]uint64{}}
}

// next returns the number of the next event of a session, from 1.
func (s *sequence) next(session string) uint64 {
	n, known := s.counts[session]
	if !known {
		if s.bytes > sessionsBytes {
			*s = newSequence()
		}
		session = strings.Clone(session) // the caller's text may be part of a long one
		s.bytes += bytesPerSession + len(session)
	}
	s.counts[session] = n + 1
	return n + 1
}
