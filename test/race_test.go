package test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// sent is one request of a sender with what was answered.
type sent struct {
	id     string
	at     time.Time // before it was sent
	status int
	body   reply
}

// crowd are eight senders that send single events with a key, each as fast as it
// is answered, until they are stopped.
type crowd struct {
	*server
	stop    atomic.Bool
	senders sync.WaitGroup
	mu      sync.Mutex // guards all
	all     []sent
}

// gather starts a crowd; body gives the nth event of a sender.
func (s *server) gather(key string, body func(sender, n int) (id, event string)) *crowd {
	c := &crowd{server: s}
	for sender := range 8 {
		c.senders.Go(func() {
			for n := 0; !c.stop.Load(); n++ {
				id, event := body(sender, n)
				at := time.Now()
				a, err := s.try("POST", "/v1/events", key, []byte(event))
				if err != nil {
					a.status = -1
				}
				c.mu.Lock()
				c.all = append(c.all, sent{id, at, a.status, a})
				c.mu.Unlock()
			}
		})
	}
	return c
}

func (c *crowd) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.all)
}

// more waits until so many more requests are answered.
func (c *crowd) more(n int) {
	c.t.Helper()
	before := c.count()
	c.eventually("senders", func() bool { return c.count() >= before+n })
}

// disperse stops the senders and returns all that was sent.
func (c *crowd) disperse() []sent {
	c.stop.Store(true)
	c.senders.Wait()
	return c.all
}

// ofRound gives each event an id of its own, different for each round.
func ofRound(round int) func(sender, n int) (id, event string) {
	return func(sender, n int) (string, string) {
		id := fmt.Sprintf("01980c00-%04d-7000-%04d-%012d", round, 8000+sender, n)
		return id, fmt.Sprintf(`{"id":%q,"session_id":"s","category":"c","name":"n","data":{},"timestamp":"2021-01-01 09:00:00"}`, id)
	}
}

// endsAt checks that what was sent before a moment is accepted or refused, what
// was sent after it refused, and nothing else happened. It returns the accepted.
func endsAt(t *testing.T, all []sent, end time.Time) (accepted []string) {
	t.Helper()
	after := 0
	for _, x := range all {
		switch {
		case x.status != http.StatusAccepted && x.status != http.StatusUnauthorized && x.status != http.StatusForbidden:
			t.Errorf("answered %d: %s", x.status, x.body.body)
		case x.at.After(end):
			after++
			if x.status == http.StatusAccepted {
				t.Errorf("%s was sent %v after the end and accepted", x.id, x.at.Sub(end))
			}
		case x.status == http.StatusAccepted:
			accepted = append(accepted, x.id)
		}
	}
	if len(accepted) == 0 || after == 0 {
		t.Errorf("%d accepted before the end, %d sent after it: nothing is shown", len(accepted), after)
	}
	return accepted
}

// A revocation is in force before its answer: nothing sent after it is accepted,
// and what was accepted before it is stored.
func TestNothingIsAcceptedAfterARevocation(t *testing.T) {
	t.Parallel()
	s := start(t)
	total := 0
	for round := range 5 {
		made := s.keyWith("write", map[string]any{})
		c := s.gather(made.text("key"), ofRound(round))
		c.more(40)
		a := s.call("DELETE", "/v1/apps/shop/keys/"+made.text("key_id"), s.admin, "")
		end := time.Now()
		s.must(a, 204)
		c.more(40)
		total += len(endsAt(t, c.disperse(), end))
	}
	s.eventually("all to be stored", func() bool { return s.call("GET", "/v1/count", s.read, "").text("count") == fmt.Sprint(total) })
	s.balanced(total)
}

// A request that began before the revocation is not taken when its body ends after it.
func TestABodyThatComesAfterARevocation(t *testing.T) {
	t.Parallel()
	s := start(t)
	made := s.keyWith("write", map[string]any{})
	body, rest := io.Pipe()
	answered := make(chan int, 1)
	go func() {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/v1/events", body)
		if err != nil {
			answered <- -1
			return
		}
		req.Header.Set("Authorization", "Bearer "+made.text("key"))
		answer, err := http.DefaultClient.Do(req)
		if err != nil {
			answered <- -1
			return
		}
		_ = answer.Body.Close()
		answered <- answer.StatusCode
	}()
	_, _ = io.WriteString(rest, fine[:20])
	path := "/v1/apps/shop/keys"
	s.eventually("the key to be used", func() bool {
		keys := s.call("GET", path, s.admin, "").json()["keys"].([]any)
		return keys[len(keys)-1].(map[string]any)["last_used_at"] != nil
	})
	s.must(s.call("DELETE", path+"/"+made.text("key_id"), s.admin, ""), 204)
	_, _ = io.WriteString(rest, fine[20:])
	_ = rest.Close()
	if status := <-answered; status != http.StatusUnauthorized {
		t.Errorf("answered %d", status)
	}
	if a := s.call("GET", "/v1/books", s.read, ""); strings.Contains(string(a.body), `"received":1`) {
		t.Errorf("it was taken: %s", a.body)
	}
}

// A deletion of an application that races with its first events either meets
// them, and is refused, or none of them is ever accepted.
func TestNothingIsAcceptedForADeletedApplication(t *testing.T) {
	t.Parallel()
	s := start(t)
	deleted := 0
	for round := 0; round < 12 || deleted == 0 && round < 200; round++ { // until a deletion came first, too
		app := fmt.Sprintf("app-%d", round)
		s.must(s.call("POST", "/v1/apps", s.admin, fmt.Sprintf(`{"app":%q}`, app)), 201)
		c := s.gather(s.key(app, "write"), ofRound(round))
		a := s.call("DELETE", "/v1/apps/"+app, s.admin, "")
		end := time.Now()
		c.more(16)
		all := c.disperse()
		switch a.status {
		case http.StatusNoContent:
			deleted++
			for _, x := range all { // an event accepted before would have been met
				if x.status != http.StatusUnauthorized && x.status != http.StatusForbidden {
					t.Errorf("%s was sent %v after the deletion and answered %d", x.id, x.at.Sub(end), x.status)
				}
			}
		case http.StatusConflict: // events came first: the application goes on
			if last := all[len(all)-1]; last.status != http.StatusAccepted {
				t.Errorf("refused with %d, though the application was not deleted", last.status)
			}
		default:
			t.Errorf("%d %s", a.status, a.body)
		}
	}
	if deleted == 0 {
		t.Error("no deletion came before the events: nothing is shown")
	}
	s.eventually("the books to be complete", func() bool {
		a := s.call("GET", "/v1/books", s.admin, "")
		for _, account := range a.json()["apps"].([]any) {
			if fmt.Sprint(account.(map[string]any)["pending"]) != "0" {
				return false
			}
		}
		return a.json()["balanced"] == true
	})
}

// ballast makes judging an event take long enough to be overtaken by a version.
const ballast = 4000

// schemaOf asks data for a property that the version's parity names.
func schemaOf(version int) string {
	return fmt.Sprintf(`{"title":"v%d","type":"object","required":[%q],"properties":{"ballast":{"items":{"type":"integer","minimum":0}}}}`, version, parity(version))
}

func parity(n int) string { return []string{"even", "odd"}[n%2] }

// While a type changes from version to version, each event is judged by one of
// them, which is named on it, and its verdict is that version's: an event with
// the property "odd" is stored under an odd version, or rejected under an even one.
func TestEachEventIsJudgedByOneVersion(t *testing.T) {
	t.Parallel()
	const versions = 15
	s := start(t)
	put := func(version int) {
		t.Helper()
		a := s.call("PUT", "/v1/types/c/n?force=1", s.admin, schemaOf(version))
		s.must(a, 200)
		if a.text("version") != fmt.Sprint(version) {
			t.Fatalf("put version %d: %s", version, a.body)
		}
	}
	put(1)
	c := s.gather(s.write, func(sender, n int) (string, string) {
		id := fmt.Sprintf("01980c00-0000-7000-%04d-%012d", 8000+sender, n)
		event := func(id string) string {
			return fmt.Sprintf(`{"id":%q,"session_id":%q,"category":"c","name":"n","data":{%q:1,"ballast":[%s0]},"timestamp":"2021-01-01 09:00:00"}`, id, id, parity(sender+n), strings.Repeat("1,", ballast))
		}
		return id, event(id)
	})
	// A change is in force before its answer: what is sent next meets it.
	for version := 2; version <= versions; version++ {
		c.more(20)
		put(version)
		body := fmt.Sprintf(`{"session_id":"next","category":"c","name":"n","data":{%q:1},"timestamp":"2021-01-01 09:00:00"}`, parity(version))
		s.must(s.call("POST", "/v1/events", s.write, body), 202)
		s.must(s.call("POST", "/v1/events", s.write, `{"session_id":"next","category":"c","name":"n","data":{"none":1},"timestamp":"2021-01-01 09:00:00"}`), 422)
	}
	all := c.disperse()
	stored, rejected := map[float64]int{}, map[float64]int{}
	for _, x := range all {
		if x.status != http.StatusAccepted && x.status != http.StatusUnprocessableEntity {
			t.Fatalf("%d %s", x.status, x.body.body)
		}
		property, verdict := propertyOf(x.id), x.status
		version := s.versionOf(x.id, verdict)
		switch want := parity(int(version)) == property; {
		case verdict == http.StatusAccepted && want:
			stored[version]++
		case verdict == http.StatusUnprocessableEntity && !want:
			rejected[version]++
		default:
			t.Errorf("%s with %q was answered %d, and version %v is named on it", x.id, property, verdict, version)
		}
	}
	if len(stored) < versions/2 || len(rejected) < versions/2 {
		t.Errorf("too few versions were met: stored under %v, rejected under %v", stored, rejected)
	}
	t.Logf("%d events; stored under %d versions, rejected under %d", len(all), len(stored), len(rejected))
}

// propertyOf returns which property an event of the crowd had.
func propertyOf(id string) string {
	var sender, n int
	_, _ = fmt.Sscanf(id, "01980c00-0000-7000-%04d-%012d", &sender, &n)
	return parity(sender - 8000 + n)
}

// versionOf returns the version that is named on a stored event or a rejection.
func (s *server) versionOf(id string, status int) float64 {
	s.t.Helper()
	var found map[string]any
	s.eventually("event "+id, func() bool {
		if status == http.StatusAccepted {
			a := s.call("GET", "/v1/events/"+id, s.read, "")
			found = a.json()
			return a.status == http.StatusOK
		}
		list := s.rejections("event_id=" + id)
		if len(list) == 1 {
			found = list[0]
		}
		return len(list) == 1
	})
	version, _ := found["schema_version"].(float64)
	return version
}
