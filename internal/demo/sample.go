package demo

import (
	"math/rand/v2"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Event is an event that the demo sends.
type Event struct {
	ID        uuid.UUID      `json:"id"`
	SessionID string         `json:"session_id"`
	Category  string         `json:"category"`
	Name      string         `json:"name"`
	Data      map[string]any `json:"data"`
	Timestamp string         `json:"timestamp"`
	SentAt    string         `json:"sent_at,omitzero"`
	Seq       int            `json:"seq"`
	Sender    string         `json:"sender"`
}

// visitor is one session of the demo: a person looks at pages, clicks, and occasionally fills in a
// form.
type visitor struct {
	session string
	sender  string
	path    string
	seq     int
	left    int // events until the visitor leaves
}

// sampler generates plausible events. It is not safe for concurrent use. The same seed yields the
// same choices, but different ids.
type sampler struct {
	rand     *rand.Rand
	visitors []*visitor
}

// Host is the host of the pages that are visited.
const Host = "www.consumeraffairs.com"

const (
	sampleVisitors = 8
	wrongEvery     = 25
)

func newSampler(seed uint64) *sampler {
	return &sampler{rand: rand.New(rand.NewPCG(seed, seed))} //nolint:gosec // sample data
}

// next returns the next event, as of now.
func (s *sampler) next(now time.Time) Event {
	if len(s.visitors) < sampleVisitors {
		s.visitors = append(s.visitors, s.visit())
	}
	i := s.rand.IntN(len(s.visitors))
	v := s.visitors[i]
	e := s.act(v)
	v.seq++
	if v.left--; v.left <= 0 {
		s.visitors[i] = s.visit()
	}
	stamp := now.UTC().Format(time.RFC3339Nano)
	e.ID = uuid.Must(uuid.NewV7())
	e.Timestamp, e.SentAt = stamp, stamp
	if s.rand.IntN(wrongEvery) == 0 {
		s.spoil(&e, now)
	}
	return e
}

func (s *sampler) visit() *visitor {
	return &visitor{session: uuid.NewString(), sender: "web-" + uuid.NewString()[:8], path: s.pick("/", "/", "/solar-energy/", "/movers/"), left: 4 + s.rand.IntN(17)}
}

func (s *sampler) pick(from ...string) string { return from[s.rand.IntN(len(from))] }

// act returns what a visitor does next.
func (s *sampler) act(v *visitor) Event {
	e := Event{SessionID: v.session, Sender: v.sender, Seq: v.seq, Category: Category(appName, "page interaction")}
	switch chance := s.rand.IntN(100); {
	case v.seq == 0 || chance < 55:
		if v.seq > 0 {
			v.path = s.pick("/", "/solar-energy/", "/solar-energy/quote", "/movers/", "/movers/reviews", "/home-warranty/", "/hearing-aids/", "/about/")
		}
		e.Name, e.Data = "pageview", map[string]any{"host": Host, "path": v.path}
	case chance < 90:
		element := s.pick("chat bubble", "get quotes", "read more", "compare", "call now", "newsletter")
		e.Name, e.Data = "cta click", map[string]any{"host": Host, "path": v.path, "element": element}
	default:
		e.Category, e.Name = Category(appName, "form interaction"), "submit"
		e.Data = map[string]any{"host": Host, "path": v.path, "form": map[string]any{
			"first_name": s.pick("John", "Ada", "Grace", "Alan", "Edsger", "Barbara"),
			"last_name":  s.pick("Doe", "Miller", "Garcia", "Kim", "Novak", "Okafor"),
		}}
	}
	return e
}

// spoil makes an event invalid, in one of several typical ways.
func (s *sampler) spoil(e *Event, now time.Time) {
	switch s.rand.IntN(4) {
	case 0: // a property is missing
		delete(e.Data, "path")
	case 1: // a clock that runs a day ahead, and no time of sending to correct it
		e.Timestamp, e.SentAt = now.Add(24*time.Hour).UTC().Format(time.RFC3339), ""
	case 2: // a time as people write it
		e.Timestamp = strings.ToLower(now.UTC().Format("Jan 2, 2006 at 3:04pm"))
	default: // a typing error in a name
		e.Data["hots"] = e.Data["host"]
		delete(e.Data, "host")
	}
}
