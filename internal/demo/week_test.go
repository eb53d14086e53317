package demo

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"

	"theeye/internal/schema"
)

// monday is a time in a zone that is not that of this machine.
func monday() time.Time {
	return time.Date(2026, 11, 30, 15, 4, 5, 678_000, time.FixedZone("", 9*3600))
}

func mustWeek(t testing.TB, h History) *week {
	t.Helper()
	w, err := newWeek(h)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// sent is an event of a request, and whether its type in force at the time accepts it.
type sent struct {
	Event
	app      string
	at       time.Time // as the event says
	received time.Time
	problems []string // pointers
}

// open returns the events of a week.
func (w *week) open(t testing.TB) []sent {
	t.Helper()
	types := map[string]*schema.Type{}
	put := func(v version) {
		compiled, err := schema.Compile(v.category, v.name, 1, []byte(v.schema))
		if err != nil {
			t.Fatal(err)
		}
		types[v.category+"/"+v.name] = compiled
	}
	for _, v := range firstTypes() {
		put(v)
	}
	var list []sent
	known := false
	for _, a := range w.arrivals {
		if !known && !a.ReceivedAt.Before(w.stories.learned) {
			known = true
			put(callEndedWithVoicemail())
		}
		var batch struct {
			SentAt time.Time `json:"sent_at"`
			Events []Event   `json:"events"`
		}
		if err := json.Unmarshal(a.Body, &batch, json.RejectUnknownMembers(true)); err != nil {
			t.Fatal(err)
		}
		if len(batch.Events) != a.Events || batch.SentAt.After(a.ReceivedAt) || a.ReceivedAt.Sub(batch.SentAt) > 30*time.Second {
			t.Errorf("%d events, sent at %v, received at %v", len(batch.Events), batch.SentAt, a.ReceivedAt)
		}
		for _, e := range batch.Events {
			s := sent{Event: e, app: a.App, received: a.ReceivedAt}
			s.at, _ = time.Parse(time.RFC3339Nano, e.Timestamp)
			if of := types[e.Category+"/"+e.Name]; of != nil {
				for _, p := range of.Check(e.Data) {
					s.problems = append(s.problems, p.Pointer)
				}
			}
			list = append(list, s)
		}
	}
	return list
}

// The same history is the same bytes; another seed or another end is another week.
func TestWeekIsDeterministic(t *testing.T) {
	h := History{Seed: 1, Until: monday()}
	one, two := mustWeek(t, h), mustWeek(t, h)
	if !reflect.DeepEqual(one.arrivals, two.arrivals) {
		t.Error("the arrivals differ")
	}
	if len(one.rest) == 0 || len(one.rest) != len(two.rest) || one.rest[0].event.ID != two.rest[0].event.ID {
		t.Errorf("%d and %d events are left", len(one.rest), len(two.rest))
	}
	if other := mustWeek(t, History{Seed: 2, Until: h.Until}); reflect.DeepEqual(one.arrivals[0], other.arrivals[0]) {
		t.Error("another seed makes the same week")
	}
}

func TestWeekIsBelievable(t *testing.T) {
	h := History{Seed: 1, Until: monday()}
	w := mustWeek(t, h)
	events := w.open(t)
	if n := len(events); n < 48_000 || n > 52_000 {
		t.Errorf("%d events", n)
	}
	before := h.From()
	for _, a := range w.arrivals {
		if !a.ReceivedAt.After(before) || !a.ReceivedAt.Before(h.Until) {
			t.Fatalf("received at %v, after %v, until %v", a.ReceivedAt, before, h.Until)
		}
		before = a.ReceivedAt
	}
	apps, began := map[string]map[string]bool{}, map[string]time.Time{}
	ids, again, late, wrong := map[uuid.UUID]bool{}, 0, 0, 0
	for _, e := range events {
		if apps[e.SessionID] == nil {
			apps[e.SessionID], began[e.SessionID] = map[string]bool{}, e.received.In(h.Until.Location())
		}
		apps[e.SessionID][e.app] = true
		if ids[e.ID] {
			again++
		}
		ids[e.ID] = true
		if !e.at.IsZero() && e.received.Sub(e.at) > 15*time.Second {
			late++
		}
		if len(e.problems) > 0 {
			wrong++
		}
	}
	shared := map[int]int{}
	for _, of := range apps {
		shared[len(of)]++
	}
	if n := len(apps); n < Sessions*98/100 || n > Sessions || shared[2] < 1000 || shared[3] < 50 {
		t.Errorf("%d sessions, by applications %v", n, shared)
	}
	if again == 0 || again > 500 || late == 0 || late > 1000 || wrong < 200 || wrong > 600 {
		t.Errorf("%d arrive again, %d late, %d do not conform", again, late, wrong)
	}
	perDay, perHour := map[time.Weekday]int{}, map[int]int{}
	for _, at := range began {
		perDay[at.Weekday()]++
		perHour[at.Hour()]++
	}
	for day := time.Monday; day <= time.Friday; day++ {
		for _, free := range []time.Weekday{time.Saturday, time.Sunday} {
			if 4*perDay[day] < 5*perDay[free] {
				t.Errorf("%d sessions on %s, %d on %s", perDay[day], day, perDay[free], free)
			}
		}
	}
	if night, noon := perHour[1]+perHour[2]+perHour[3]+perHour[4], perHour[13]+perHour[14]+perHour[15]+perHour[16]; noon < 6*night || night == 0 {
		t.Errorf("%d sessions at night, %d in the afternoon", night, noon)
	}
}

// Whatever conforms to no schema is a story, or one of the few mistakes that always happen.
func TestStories(t *testing.T) {
	h := History{Seed: 1, Until: monday()}
	w := mustWeek(t, h)
	form, clock, voicemail, mistakes := 0, 0, 0, 0
	for _, e := range w.open(t) {
		lost := len(e.problems) == 1 && e.problems[0] == "/data/form/phone"
		switch {
		case e.Name == "submit":
			if lost != w.stories.form.has(e.at) {
				t.Errorf("a form at %v: %v", e.at, e.problems)
			}
			if lost {
				form++
			}
		case e.Name == "call ended" && len(e.problems) > 0:
			if e.problems[0] != "/data/outcome" || !w.stories.voicemail.has(e.at) && !w.stories.clock.has(e.at) {
				t.Errorf("a call at %v: %v", e.at, e.problems)
			}
			voicemail++
		case e.at.Sub(e.received) > 5*time.Minute:
			if e.app != callCenter || !strings.Contains(mustText(t, e.Data), wrongDesk) || !w.stories.clock.has(e.received) {
				t.Errorf("the clock of %+v is wrong", e)
			}
			clock++
		case len(e.problems) > 0 || e.at.IsZero():
			if e.Name != "view" {
				t.Errorf("%+v", e)
			}
			mistakes++
		}
	}
	at := w.stories.form.From
	if w.stories.form.To.Sub(at) != 40*time.Minute || at.Weekday() != time.Tuesday || form < 60 || clock < 15 || voicemail < 5 || mistakes < 50 {
		t.Errorf("%v: %d forms, %d by a wrong clock, %d calls, %d mistakes", at, form, clock, voicemail, mistakes)
	}
}

func mustText(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Whenever the week ends, its stories are told from beginning to end, in their order.
func TestStoriesAreWithinAnyWeek(t *testing.T) {
	for minute := range 7 * 24 * 60 {
		h := History{Until: monday().Add(time.Duration(minute) * time.Minute)}
		s := h.stories()
		for _, part := range []span{s.campaign, s.form, s.voicemail} {
			if !part.From.After(h.From().Add(30*time.Minute)) || !part.To.Before(h.Until.Add(-time.Hour)) {
				t.Fatalf("a week until %v has %v", h.Until, part)
			}
		}
		if s.form.From.Weekday() != time.Tuesday || s.learned.Add(time.Hour).After(h.Until) {
			t.Fatalf("a week until %v has %+v", h.Until, s)
		}
	}
}

// BenchmarkWeek makes up a week, without a server.
func BenchmarkWeek(b *testing.B) {
	for b.Loop() {
		mustWeek(b, History{Seed: 1, Until: monday()})
	}
}
