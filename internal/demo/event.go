package demo

import (
	"encoding/binary"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"
)

// Event is an event that the demo sends.
type Event struct {
	ID        uuid.UUID `json:"id"`
	SessionID string    `json:"session_id"`
	Category  string    `json:"category"`
	Name      string    `json:"name"`
	Data      any       `json:"data"`
	Timestamp string    `json:"timestamp"`
	Seq       *int      `json:"seq,omitzero"`
	Sender    string    `json:"sender,omitzero"`
}

// The data of the events.
type (
	pageData struct {
		Host     string `json:"host"`
		Path     string `json:"path,omitzero"` // missing in some, by mistake
		Referrer string `json:"referrer,omitzero"`
	}
	// typoData is a pageData with a typing error in a name.
	typoData struct {
		Hots string `json:"hots"`
		Path string `json:"path"`
	}
	clickData struct {
		Host    string `json:"host"`
		Path    string `json:"path"`
		Element string `json:"element"`
	}
	submitData struct {
		Host    string   `json:"host"`
		Path    string   `json:"path"`
		Release string   `json:"release"`
		Form    formData `json:"form"`
	}
	formData struct {
		FirstName string `json:"first_name"`
		LastName  string `json:"last_name"`
		Phone     string `json:"phone,omitzero"` // missing while the form has lost it
		Interest  string `json:"interest"`
	}
	articleData struct {
		Path    string `json:"path"`
		Percent int    `json:"percent"`
		Seconds int    `json:"seconds"`
	}
	subscribeData struct {
		Path string `json:"path"`
		List string `json:"list"`
	}
	callData struct {
		Agent string `json:"agent"`
		Desk  string `json:"desk"`
		Topic string `json:"topic"`
	}
	callEndData struct {
		Agent   string `json:"agent"`
		Desk    string `json:"desk"`
		Outcome string `json:"outcome"`
		Seconds int    `json:"seconds"`
	}
)

// sessionID returns a random UUID.
func sessionID(r *rand.Rand) string {
	return stamped(uuid.UUID(randomBytes(r)), 4).String()
}

// eventID returns a UUID that begins with a time.
func eventID(r *rand.Rand, at time.Time) uuid.UUID {
	id := uuid.UUID(randomBytes(r))
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(at.UnixMilli()))
	copy(id[:6], ms[2:])
	return stamped(id, 7)
}

// stamped returns an id with version and variant of RFC 9562.
func stamped(id uuid.UUID, version byte) uuid.UUID {
	id[6], id[8] = id[6]&0x0f|version<<4, id[8]&0x3f|0x80
	return id
}

func randomBytes(r *rand.Rand) (b [16]byte) {
	binary.BigEndian.PutUint64(b[:8], r.Uint64())
	binary.BigEndian.PutUint64(b[8:], r.Uint64())
	return b
}
