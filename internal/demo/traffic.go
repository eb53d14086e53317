package demo

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// The applications of the demo.
const (
	shop       = "shop"
	callCenter = "callcenter"
	blog       = "blog"
	// guestApp is the application that sends everything in a data directory of someone else.
	guestApp = "demo"
)

// Categories of events. The examples and the guides have others, so that both can be on one server.
const (
	pages      = "page"
	forms      = "form"
	calls      = "call"
	articles   = "article"
	newsletter = "newsletter"
)

const (
	wrongEvery = 360 // one of so many events of pages is invalid
	clockAhead = 10 * time.Minute
	wrongDesk  = "desk-7"
	// stampForm is how the shop's pages write times.
	stampForm = "2006-01-02T15:04:05.000Z07:00"
)

// stories are the times at which something goes wrong. A zero span never comes.
type stories struct {
	campaign  span // a mail sends visitors to the form
	form      span // the form has lost its field phone
	voicemail span // call ended has an outcome that its schema does not know
	// learned is when the schema knows that outcome; the zero time for always.
	learned time.Time
	clock   span // the clock of a desk is ten minutes ahead
}

// span is a time from From, inclusive, to To, exclusive.
type span struct{ From, To time.Time }

func (s span) has(at time.Time) bool { return !at.Before(s.From) && at.Before(s.To) }

// planned is an event, and when its application has it ready to be sent.
type planned struct {
	at    time.Time
	app   string
	event Event
}

// traffic makes up what visitors do. It is not safe for concurrent use.
type traffic struct {
	rand    *rand.Rand
	guest   bool // one application sends everything, in categories of its own
	stories stories
}

func newTraffic(seed uint64, guest bool) *traffic {
	return &traffic{rand: rand.New(rand.NewPCG(seed, seed)), guest: guest} //nolint:gosec // sample data
}

func (t *traffic) app(name string) string {
	if t.guest {
		return guestApp
	}
	return name
}

func (t *traffic) category(name string) string {
	if t.guest {
		return Category(guestApp, name)
	}
	return name
}

func (t *traffic) pick(from ...string) string { return from[t.rand.IntN(len(from))] }

// chance is true in some of a hundred cases.
func (t *traffic) chance(percent int) bool { return t.rand.IntN(100) < percent }

// between returns a random duration.
func (t *traffic) between(least, most time.Duration) time.Duration {
	return least + time.Duration(t.rand.Int64N(int64(most-least)))
}

// visit is one session: a person reads, looks at pages, clicks, fills in a form, and is called.
type visit struct {
	*traffic
	at      time.Time
	session string
	sender  string
	seq     int
	events  []planned
}

// visit returns what a visitor does from a time on.
func (t *traffic) visit(at time.Time) []planned {
	v := &visit{traffic: t, at: at, session: sessionID(t.rand)}
	switch {
	case t.stories.campaign.has(at) && !t.chance(30):
		v.opens()
		v.view("/quote", "https://mail.example.com/")
		v.passes(15*time.Second, 70*time.Second)
		v.submit()
	case t.chance(34):
		if v.reads(); t.chance(45) {
			v.shops("https://" + Host + "/blog/")
		}
	default:
		v.shops(t.pick("", "", "https://search.example.com/", "https://social.example.com/"))
	}
	return v.events
}

// opens begins a page in a new tab, which numbers its events.
func (v *visit) opens() { v.sender, v.seq = "tab-"+sessionID(v.rand)[:8], 0 }

func (v *visit) passes(least, most time.Duration) { v.at = v.at.Add(v.between(least, most)) }

// add adds an event of the tab.
func (v *visit) add(app, category, name string, data any) *Event {
	seq := v.seq
	v.seq++
	e := v.addFrom(app, category, name, data)
	e.Seq, e.Sender = &seq, v.sender
	return e
}

// addFrom adds an event of a sender that does not number its events.
func (v *visit) addFrom(app, category, name string, data any) *Event {
	at := v.at.Truncate(time.Microsecond)
	v.events = append(v.events, planned{at, v.app(app), Event{
		ID: eventID(v.rand, at), SessionID: v.session, Category: v.category(category), Name: name, Data: data,
		Timestamp: at.UTC().Format(stampForm),
	}})
	return &v.events[len(v.events)-1].event
}

func (v *visit) reads() {
	v.opens()
	for range 1 + v.rand.IntN(3) {
		path := v.pick("/blog/", "/blog/how-to-choose", "/blog/ten-questions", "/blog/solar-in-winter", "/blog/moving-with-children")
		v.add(blog, pages, "view", pageData{Host: Host, Path: path})
		seconds := 20 + v.rand.IntN(200)
		v.at = v.at.Add(time.Duration(seconds)*time.Second + v.between(0, time.Second))
		v.add(blog, articles, "read", articleData{path, min(100, 20+seconds/2), seconds})
		v.passes(time.Second, 20*time.Second)
		if v.chance(7) {
			v.add(blog, newsletter, "subscribe", subscribeData{path, v.pick("weekly", "offers")})
			v.passes(2*time.Second, 9*time.Second)
		}
	}
}

func (v *visit) shops(referrer string) {
	v.opens()
	for n := range 2 + v.rand.IntN(7) {
		if n > 0 {
			referrer = ""
		}
		path := v.pick("/", "/", "/solar-energy/", "/solar-energy/reviews", "/movers/", "/movers/reviews", "/home-warranty/", "/hearing-aids/", "/about/")
		v.view(path, referrer)
		v.passes(4*time.Second, 45*time.Second)
		if v.chance(58) {
			v.add(shop, pages, "click", clickData{Host, path, v.pick("chat bubble", "get quotes", "get quotes", "read more", "compare", "newsletter")})
			v.passes(time.Second, 20*time.Second)
		}
	}
	if v.chance(24) {
		v.view("/quote", "")
		v.passes(20*time.Second, 90*time.Second)
		v.submit()
	}
}

// view adds a page view, which may be invalid in one of several typical ways.
func (v *visit) view(path, referrer string) {
	e := v.add(shop, pages, "view", pageData{Host, path, referrer})
	if v.rand.IntN(wrongEvery/2) > 0 { // every other event of a page is a view
		return
	}
	switch v.rand.IntN(3) {
	case 0:
		e.Data = pageData{Host: Host, Referrer: referrer}
	case 1:
		e.Data = typoData{Host, path}
	default: // a time as people write it
		e.Timestamp = strings.ToLower(v.at.UTC().Format("Jan 2, 2006 at 3:04pm"))
	}
}

// submit submits the form; a call may follow.
func (v *visit) submit() {
	data := submitData{Host, "/quote", "4.12.0", formData{
		FirstName: v.pick("Jane", "John"),
		LastName:  "Doe",
		Phone:     fmt.Sprintf("+1 555 01%02d", v.rand.IntN(100)),
		Interest:  v.pick("solar", "moving", "warranty", "hearing"),
	}}
	switch form := v.stories.form; {
	case form.has(v.at):
		data.Release, data.Form.Phone = "4.13.0", ""
	case !v.at.Before(form.To):
		data.Release = "4.13.1"
	}
	v.add(shop, forms, "submit", data)
	if data.Form.Phone != "" && v.chance(60) {
		v.passes(7*time.Minute, 22*time.Minute)
		v.isCalled(data.Form.Interest)
	}
}

func (v *visit) isCalled(topic string) {
	desk := v.rand.IntN(9)
	call := callData{Agent: fmt.Sprintf("a-%d", 11+desk), Desk: fmt.Sprintf("desk-%d", 1+desk), Topic: topic}
	v.tells(call.Desk, v.addFrom(callCenter, calls, "call started", call))
	seconds := 30 + v.rand.IntN(500)
	v.at = v.at.Add(time.Duration(seconds)*time.Second + v.between(0, time.Second))
	outcome := v.pick("appointment", "appointment", "no interest", "call back")
	switch {
	case v.stories.voicemail.has(v.at):
		if v.chance(60) {
			outcome = "voicemail"
		}
	case !v.at.Before(v.stories.learned) && v.chance(15):
		outcome = "voicemail"
	}
	v.tells(call.Desk, v.addFrom(callCenter, calls, "call ended", callEndData{call.Agent, call.Desk, outcome, seconds}))
}

// tells sets the time of an event by the clock of a desk.
func (v *visit) tells(desk string, e *Event) {
	if desk == wrongDesk && v.stories.clock.has(v.at) {
		e.Timestamp = v.at.Add(clockAhead).UTC().Format(stampForm)
	}
}
