package cli

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"os"
	"strings"

	"github.com/go-json-experiment/json"

	"theeye/internal/durable"
)

// sendPlace is how far an input was sent, as the file of --resume has it.
type sendPlace struct {
	name string // of the file
	lock *os.File
	sent sentPart
}

// sentPart is the content of that file.
type sentPart struct {
	Server string `json:"server"` // its address or its socket
	App    string `json:"app"`    // that --app named; empty with a write key
	Events int    `json:"events"` // of the input that were answered
	Place  string `json:"place"`  // of the last of them, for people
	Digest string `json:"sha256"` // of all of them
}

// openSendPlace locks and reads the file of --resume, which need not exist. server is where the input
// is sent, and app the application that --app names.
func openSendPlace(name, server, app string) (*sendPlace, error) {
	lock, err := lockFile(name, name+" is in use by another `eye send`; give each input a file of its own")
	if err != nil {
		return nil, err
	}
	p := &sendPlace{name: name, lock: lock}
	if err := p.read(server, app); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return p, nil
}

func (p *sendPlace) read(server, app string) error {
	b, err := os.ReadFile(p.name)
	if errors.Is(err, fs.ErrNotExist) {
		p.sent.Server, p.sent.App = server, app
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the place to resume at: %w", err)
	}
	switch err := json.Unmarshal(b, &p.sent, json.RejectUnknownMembers(true)); {
	case err != nil || p.sent.Events <= 0 || len(p.sent.Digest) != 2*sha256.Size:
		return fmt.Errorf("%s is not a file that --resume has written; give another name, which may be new", p.name)
	case p.sent.Server != server:
		return fmt.Errorf("%s belongs to an input that was sent to %s, not to %s; give each its own file, or change the name in the file if it is the same server", p.name, p.sent.Server, server)
	case p.sent.App != app:
		return fmt.Errorf("%s belongs to an input that was sent to application %q, not %q; give each its own file", p.name, p.sent.App, app)
	}
	return nil
}

// save saves that the input was sent up to an element.
func (p *sendPlace) save(last *element) error {
	p.sent.Events, p.sent.Place, p.sent.Digest = last.count, last.place(), last.digest
	b, err := json.Marshal(p.sent)
	if err != nil {
		return fmt.Errorf("save the place to resume at: %w", err)
	}
	if err := durable.Replace(p.name, strings.NewReader(string(b)+"\n")); err != nil {
		return fmt.Errorf("save the place to resume at: %w; what was sent last will be sent again", err)
	}
	return nil
}

// Close unlocks the file.
func (p *sendPlace) Close() error { return p.lock.Close() }

// skipper decides which elements of an input were sent before.
type skipper struct {
	place *sendPlace
	skip  int // elements that were sent
	count int // elements that were read
	sum   hash.Hash
}

func newSkipper(p *sendPlace) *skipper {
	return &skipper{place: p, skip: p.sent.Events, sum: sha256.New()}
}

// sent counts an element, as the input has it, and reports whether it was sent before. An input
// whose beginning has changed is an *inputError.
func (s *skipper) sent(e *element) (bool, error) {
	var size [8]byte
	binary.BigEndian.PutUint64(size[:], uint64(len(e.raw)))
	_, _ = s.sum.Write(size[:]) // never fails
	_, _ = s.sum.Write(e.raw)
	s.count++
	if s.count < s.skip {
		return true, nil
	}
	e.count, e.digest = s.count, hex.EncodeToString(s.sum.Sum(nil))
	if s.count == s.skip && e.digest != s.place.sent.Digest {
		return false, &inputError{fmt.Sprintf(": its first %d events are not those that were sent before, according to %s; remove that file to send all of this input", s.skip, s.place.name)}
	}
	return s.count == s.skip, nil
}

// end returns an *inputError if the input ended before what was sent.
func (s *skipper) end() error {
	if s.count < s.skip {
		return &inputError{fmt.Sprintf(": it has %d events, fewer than the %d that were sent before, according to %s; remove that file to send all of this input", s.count, s.skip, s.place.name)}
	}
	return nil
}
