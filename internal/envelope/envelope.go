// Package envelope wraps a JSON value with a version and a digest, so that a file from a newer
// version of The Eye can be distinguished from a damaged one.
//
// It does not read or write files.
package envelope

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"theeye/internal/jsonx"
)

// Errors of Open.
var (
	// ErrNewer reports that a newer version of The Eye wrote the content.
	ErrNewer = errors.New("written by a newer version of The Eye; start that version again")
	// ErrDamaged reports that the content is not what was written.
	ErrDamaged = errors.New("it is damaged")
)

// envelope is an object with these members and one more, whose value is the content. SHA256 is the
// digest, in hex, of the version in decimal, a line feed and the text of that value. Every later
// version keeps this form.
type envelope struct {
	Version int                       `json:"version"`
	SHA256  *string                   `json:"sha256"`
	Rest    map[string]jsontext.Value `json:",embed"`
}

func digest(version int, value []byte) string {
	sum := sha256.New()
	sum.Write([]byte(strconv.Itoa(version) + "\n"))
	sum.Write(value)
	return hex.EncodeToString(sum.Sum(nil))
}

// Seal returns the line
//
//	{"version":VERSION,"sha256":"…","NAME":VALUE}
//
// The name must need no quoting.
func Seal(version int, name string, value []byte) []byte {
	return fmt.Appendf(nil, "{\"version\":%d,\"sha256\":\"%s\",\"%s\":%s}\n", version, digest(version, value), name, value)
}

// Open parses the output of Seal. Versions up to first had no digest: for these, Open returns a nil
// value and the version, which is 0 if there is none. Errors: ErrNewer for a version later than
// last, and ErrDamaged.
func Open(b []byte, name string, first, last int) (version int, value jsontext.Value, err error) {
	var e envelope
	if err := json.Unmarshal(b, &e); err != nil {
		return 0, nil, fmt.Errorf("%w: %w", ErrDamaged, jsonx.PlainJSON(err))
	}
	if e.SHA256 == nil && e.Version >= 0 && e.Version <= first {
		return e.Version, nil, nil
	}
	value = e.Rest[name]
	if e.SHA256 == nil || value == nil || len(e.Rest) != 1 || *e.SHA256 != digest(e.Version, value) {
		return e.Version, nil, fmt.Errorf("%w: its checksum does not match", ErrDamaged)
	}
	switch {
	case e.Version > last:
		return e.Version, nil, fmt.Errorf("version %d is %w", e.Version, ErrNewer)
	case e.Version <= first:
		return e.Version, nil, fmt.Errorf("%w: version %d has no checksum", ErrDamaged, e.Version)
	}
	return e.Version, value, nil
}

// Decode parses a JSON object. Errors: ErrNewer if the object has a member that the type of into
// does not have, and ErrDamaged.
func Decode(b []byte, into any) error {
	err := json.Unmarshal(b, into, json.RejectUnknownMembers(true))
	switch {
	case errors.Is(err, json.ErrUnknownName):
		return fmt.Errorf("%w (%w)", ErrNewer, jsonx.PlainJSON(err))
	case err != nil:
		return fmt.Errorf("%w: %w", ErrDamaged, jsonx.PlainJSON(err))
	}
	return nil
}
