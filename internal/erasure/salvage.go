package erasure

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"

	"github.com/go-json-experiment/json"
)

// ErrNothingWhole reports that no copy has an intact key and an intact tombstone.
var ErrNothingWhole = errors.New("no copy of it has an intact line with the key and another intact line")

// Salvaged is the intact content of copies of a damaged file of tombstones.
type Salvaged struct {
	Document     // its tombstones count as unfinished
	Whole    int // distinct lines whose checksum matches, including the header
}

// Salvage returns the intact content of copies of one file, which may be damaged, empty or older. A
// copy whose key is damaged is used only if it has a line in common with another copy, because
// nothing else shows that both have the same key. Errors: ErrNothingWhole, ErrOtherKey, and
// ErrNewer.
//
// Lines of the first format have no checksum and are not used.
func Salvage(copies ...[]byte) (s Salvaged, err error) {
	var parts []salvagedCopy
	for _, b := range copies {
		p, err := wholeLines(b)
		if err != nil {
			return s, err
		}
		if p.key != "" && s.Key != "" && p.key != s.Key {
			return s, ErrOtherKey
		}
		if p.key != "" {
			s.Key = p.key
		}
		parts = append(parts, p)
	}
	known, seen := map[string]bool{}, map[string]bool{}
	for _, p := range parts {
		for _, l := range p.lines {
			known[l.text] = known[l.text] || p.key != ""
		}
	}
	for _, p := range parts {
		if p.key == "" && !p.sharesOne(known) {
			continue
		}
		for _, l := range p.lines {
			if seen[l.text] {
				continue
			}
			seen[l.text] = true
			s.Whole++
			if l.Begun != "" {
				s.Tombstones = append(s.Tombstones, l.tombstone())
			}
		}
	}
	if s.Key == "" || len(s.Tombstones) == 0 {
		return s, ErrNothingWhole
	}
	s.Whole++ // the header
	return s, nil
}

// salvagedCopy is the intact content of one copy.
type salvagedCopy struct {
	key   string // empty if its line is damaged
	lines []wholeLine
}

type wholeLine struct {
	text string
	line
}

func (p salvagedCopy) sharesOne(known map[string]bool) bool {
	for _, l := range p.lines {
		if known[l.text] {
			return true
		}
	}
	return false
}

func wholeLines(b []byte) (p salvagedCopy, err error) {
	for text := range bytes.Lines(b) {
		text, whole := bytes.CutSuffix(text, []byte("\n"))
		if !whole || !sealed(text) {
			continue
		}
		var h header
		if err := json.Unmarshal(text, &h); err == nil && h.Key != "" {
			if h.Version > version {
				return p, ErrNewer
			}
			if key, err := hex.DecodeString(h.Key); err == nil && len(key) == sha256.Size {
				p.key = h.Key
			}
			continue
		}
		l := wholeLine{text: string(text)}
		if err := json.Unmarshal(text, &l.line); err != nil || l.Begun == "" && l.Finished == "" {
			return p, ErrNewer
		}
		p.lines = append(p.lines, l)
	}
	return p, nil
}

// Digest returns the digest that a file with this document has.
func (d *Document) Digest() (Digest, error) {
	b, err := d.encode()
	if err != nil {
		return Digest{}, err
	}
	written, err := Parse(b, Digest{})
	return written.digest(), err
}
