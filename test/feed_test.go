package test

import (
	"bufio"
	"context"
	"fmt"
	"github.com/go-json-experiment/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// feedItem is an item of GET /v1/feed.
type feedItem struct {
	Position   string     `json:"position"`
	App        string     `json:"app"`
	SessionKey string     `json:"session_key"`
	Kind       string     `json:"kind"`
	Event      *feedEvent `json:"event"`
	Rejection  *struct {
		ID       string `json:"id"`
		ClientID string `json:"client_id"`
	} `json:"rejection"`
	ErasedAt string `json:"erased_at"`
}

type feedEvent struct {
	ID        string `json:"id"`
	ClientID  string `json:"client_id"`
	SessionID string `json:"session_id"`
}

func (i feedItem) String() string {
	switch {
	case i.Event != nil:
		return i.Event.ClientID
	case i.Rejection != nil:
		return "rejected " + i.Rejection.ClientID
	}
	return "erased in " + i.App
}

type feedPage struct {
	Items []feedItem `json:"items"`
	Next  string     `json:"next"`
}

// feed reads a page of the feed.
func (s *server) feed(key, query string) (p feedPage) {
	s.t.Helper()
	a := s.call("GET", "/v1/feed?"+query, key, "")
	s.must(a, 200)
	if err := json.Unmarshal(a.body, &p); err != nil {
		s.t.Fatal(err)
	}
	return p
}

func (p feedPage) lines() (list []string) {
	for _, i := range p.Items {
		list = append(list, i.String())
	}
	return list
}

// The feed has everything once, in the order in which it was stored, across
// flushes, a kill and an erasure; who follows it deletes what was erased and
// keeps what came later.
func TestFeed(t *testing.T) {
	t.Parallel()
	s := start(t, "--flush-rows", "5")
	const bad = `{"id":"bad","session_id":"other","category":"c","name":"n","timestamp":"2021-01-01T00:00:00Z"}`
	for n := range 6 {
		s.must(s.call("POST", "/v1/events?wait=stored", s.write, "["+about(mary, "2021-01-01T00:00:00Z", n)+","+about("other", "2022-01-01T00:00:00Z", n)+"]"), 201)
	}
	s.must(s.call("POST", "/v1/events?wait=stored", s.write, bad), 422)
	var want []string
	for n := range 6 {
		want = append(want, fmt.Sprintf("%s-%d", mary, n), fmt.Sprintf("other-%d", n))
	}
	want = append(want, "rejected bad")
	var held []feedItem
	next := ""
	read := func(limit int) (more bool) {
		p := s.feed(s.read, fmt.Sprintf("limit=%d&after=%s", limit, next))
		for _, i := range p.Items {
			if len(held) > 0 && i.Position <= held[len(held)-1].Position {
				t.Errorf("position %s after %s", i.Position, held[len(held)-1].Position)
			}
			if i.Kind == "erased" {
				held = slices.DeleteFunc(held, func(h feedItem) bool { return h.SessionKey == i.SessionKey })
				continue
			}
			held = append(held, i)
		}
		next = p.Next
		return len(p.Items) == limit
	}
	next = s.feed(s.read, "limit=1").Next
	held = s.feed(s.read, "limit=1").Items
	for read(4) {
	}
	if got := (feedPage{Items: held}).lines(); !slices.Equal(got, want) {
		t.Errorf("the feed has\n%v, want\n%v", got, want)
	}
	s.kill()
	s.launch()
	behind := s.feed(s.read, "after="+next) // the store may be behind the reader for a moment: never an error
	if len(behind.Items) > 0 || behind.Next < next {
		t.Errorf("after a kill the reader gets %v, next %s after %s", behind.lines(), behind.Next, next)
	}
	s.eventually("the store to have caught up", func() bool { return s.call("GET", "/v1/books", s.read, "").status == 200 })
	s.must(s.call("DELETE", "/v1/sessions/"+mary, s.admin, ""), 200)
	s.must(s.call("POST", "/v1/events?wait=stored", s.write, about(mary, time.Now().UTC().Add(time.Second).Format(time.RFC3339), 99)), 201)
	for read(2) {
	}
	want = slices.DeleteFunc(want, func(line string) bool { return strings.HasPrefix(line, mary) })
	want = append(want, mary+"-99")
	if got := (feedPage{Items: held}).lines(); !slices.Equal(got, want) {
		t.Errorf("after an erasure the reader holds\n%v, want\n%v", got, want)
	}
	if p := s.feed(s.admin, "kind=erased"); len(p.Items) != 1 || p.Items[0].App != "*" || p.Items[0].SessionKey == "" || p.Items[0].ErasedAt == "" {
		t.Errorf("erasures: %+v", p.Items)
	}
	if p := s.feed(s.admin, "kind=rejection&code=missing_field"); len(p.Items) != 1 || p.Items[0].Rejection == nil {
		t.Errorf("rejections: %v", p.lines())
	}
	if p := s.feed(s.admin, "kind=event&session_id="+mary); len(p.Items) != 1 || p.Items[0].Event.SessionID != mary {
		t.Errorf("a session: %v", p.lines())
	}
	if p := s.feed(s.admin, "after=now"); len(p.Items) > 0 || p.Next != next {
		t.Errorf("the end is %s, and a reader is at %s", p.Next, next)
	}
}

// A key of one application sees its own items alone.
func TestFeedIsOfTheKey(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.must(s.call("POST", "/v1/apps", s.admin, `{"app":"blog"}`), 201)
	s.must(s.call("POST", "/v1/events?wait=stored", s.write, about("shared", "2021-01-01T00:00:00Z", 1)), 201)
	s.must(s.call("POST", "/v1/events?wait=stored", s.key("blog", "write"), about("shared", "2021-01-01T00:00:00Z", 2)), 201)
	s.must(s.call("DELETE", "/v1/sessions/nobody?app=blog", s.admin, ""), 200)
	s.must(s.call("DELETE", "/v1/sessions/nobody", s.admin, ""), 200)
	for key, want := range map[string][]string{
		s.key("blog", "read"): {"shared-2", "erased in blog", "erased in blog"},
		s.read:                {"shared-1", "erased in shop"},
		s.admin:               {"shared-1", "shared-2", "erased in blog", "erased in *"},
	} {
		if got := s.feed(key, "").lines(); !slices.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
	}
	s.must(s.call("GET", "/v1/feed?app=blog", s.read, ""), 403)
	s.must(s.call("GET", "/v1/feed?app=nobody", s.admin, ""), 404)
	s.must(s.call("GET", "/v1/feed", s.write, ""), 403)
	s.must(s.call("GET", "/v1/tail", "", ""), 401)
	s.must(s.call("HEAD", "/v1/tail", s.read, ""), 200)
}

// A waiting request is answered with the first item that it asked for, and with
// none when its time is over.
func TestFeedWaits(t *testing.T) {
	t.Parallel()
	s := start(t)
	next := s.feed(s.read, "after=now").Next
	go func() {
		time.Sleep(300 * time.Millisecond)
		_, _ = s.try("POST", "/v1/events", s.write, []byte("["+about("other", "2021-01-01T00:00:00Z", 1)+","+about("wanted", "2021-01-01T00:00:00Z", 2)+"]"))
	}()
	began := time.Now()
	p := s.feed(s.read, "wait=20s&session_id=wanted&after="+next)
	if got := p.lines(); !slices.Equal(got, []string{"wanted-2"}) || time.Since(began) > 15*time.Second {
		t.Errorf("after %v: %v", time.Since(began), got)
	}
	q := s.feed(s.read, "wait=1s&session_id=nobody&after="+next)
	if len(q.Items) > 0 || q.Next < p.Next {
		t.Errorf("nothing was asked for: %v, next %s, the event was up to %s", q.lines(), q.Next, p.Next)
	}
}

// message is a message of GET /v1/tail.
type message struct{ event, id, data string }

// tail reads a tail until ctx ends, the server ends it, or each returns false.
func (s *server) tail(ctx context.Context, query, lastEventID string, each func(message) bool) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/v1/tail?"+query, http.NoBody)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+s.read)
	if lastEventID != "" {
		req.Header.Set("Last-Event-ID", lastEventID)
	}
	a, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer a.Body.Close()
	if a.StatusCode != http.StatusOK || a.Header.Get("Content-Type") != "text/event-stream" || a.Header.Get("X-Accel-Buffering") != "no" {
		return fmt.Errorf("%d %v", a.StatusCode, a.Header)
	}
	var m message
	lines := bufio.NewScanner(a.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch name {
		case "event":
			m.event = value
		case "id":
			m.id = value
		case "data":
			m.data += value
		case "":
			if !each(m) {
				return nil
			}
			m = message{}
		default:
			return fmt.Errorf("an unknown line %q", lines.Text())
		}
	}
	return lines.Err()
}

// A tail has what the feed has, in the same order, also for who connects again
// with the id of the last message; it ends at once with its key and its server.
func TestTail(t *testing.T) {
	t.Parallel()
	s := start(t)
	const events = 300
	sent := make(chan error, 1)
	first := s.feed(s.read, "after=now").Next
	go func() {
		var err error
		for n := 0; n < events && err == nil; n += 3 {
			_, err = s.try("POST", "/v1/events", s.write, []byte("["+about("a", "2021-01-01T00:00:00Z", n)+","+about("b", "2021-01-01T00:00:00Z", n+1)+`,{"id":"bad-`+fmt.Sprint(n+2)+`","data":{
}}]`))
		}
		sent <- err
	}()
	var got []string
	last := first
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for stop := 17; len(got) < events; stop += 50 {
		if err := s.tail(ctx, "", last, func(m message) bool {
			last = m.id
			if m.event != "" {
				var item struct {
					ClientID string `json:"client_id"`
				}
				if err := json.Unmarshal([]byte(m.data), &item); err != nil {
					t.Errorf("data %q: %v", m.data, err)
				}
				got = append(got, item.ClientID)
			}
			return len(got) < min(events, stop)
		}); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, i := range s.feed(s.read, "limit=10000&after="+first).Items {
		if i.Event != nil {
			want = append(want, i.Event.ClientID)
		} else {
			want = append(want, i.Rejection.ClientID)
		}
	}
	if len(want) != events || !slices.Equal(got, want) {
		t.Errorf("the tail had %d items, and the feed has %d:\n%v\n%v", len(got), len(want), got, want)
	}

	// A filter, and the end with the key.
	ended, began := make(chan error, 1), make(chan struct{})
	go func() {
		n := 0
		ended <- s.tail(ctx, "kind=event&"+url.Values{"where": {"data.n>=1000"}}.Encode(), "", func(m message) bool {
			if n++; n == 1 {
				close(began)
			}
			if m.event != "" && !strings.Contains(m.data, `"n":1001`) {
				t.Errorf("not asked for: %s", m.data)
			}
			return m.event == ""
		})
	}()
	<-began
	s.must(s.call("POST", "/v1/events", s.write, "["+about("a", "2021-01-01T00:00:00Z", 999)+","+about("a", "2021-01-01T00:00:00Z", 1001)+"]"), 202)
	if err := <-ended; err != nil {
		t.Error("a filtered tail:", err)
	}
	keys := s.call("GET", "/v1/apps/shop/keys", s.admin, "").json()["keys"].([]any)
	began = make(chan struct{})
	go func() {
		once := false
		ended <- s.tail(ctx, "", "", func(message) bool {
			if !once {
				once = true
				close(began)
			}
			return true
		})
	}()
	<-began
	at := time.Now()
	for _, k := range keys {
		if key := k.(map[string]any); key["kind"] == "read" {
			s.must(s.call("DELETE", "/v1/apps/shop/keys/"+key["key_id"].(string), s.admin, ""), 204)
		}
	}
	if <-ended; time.Since(at) > 3*time.Second {
		t.Errorf("a tail ended %v after its key", time.Since(at))
	}
}

// Two hundred and fifty-six may listen, waiting requests included; shutting down
// ends them at once.
func TestManyTails(t *testing.T) {
	t.Parallel()
	s := start(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	began, ended := make(chan struct{}, 300), make(chan error, 300)
	for range 256 {
		go func() {
			once := false
			ended <- s.tail(ctx, "", "", func(message) bool {
				if !once {
					once = true
					began <- struct{}{}
				}
				return true
			})
		}()
	}
	for range 256 {
		select {
		case <-began:
		case err := <-ended:
			t.Fatal("a tail ended:", err)
		}
	}
	s.must(s.call("GET", "/v1/tail", s.read, ""), 503)
	s.must(s.call("GET", "/v1/feed?wait=1s&after=now", s.read, ""), 503)
	s.must(s.call("GET", "/v1/feed?after=now", s.read, ""), 200)
	at := time.Now()
	s.shutDown()
	for range 256 {
		if err := <-ended; err != nil {
			t.Error("a tail was cut off:", err)
		}
	}
	if d := time.Since(at); d > 8*time.Second {
		t.Errorf("shutting down took %v", d)
	}
}

// Whoever resumes a tail after an erasure gets the erasure and nothing that it erased, although the
// server has just sent it to others.
func TestTailAfterErasure(t *testing.T) {
	t.Parallel()
	s := start(t)
	from := s.feed(s.read, "after=now").Next
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	open := make(chan string, 100)
	go func() { _ = s.tail(ctx, "", from, func(m message) bool { open <- m.event; return true }) }()
	s.must(s.call("POST", "/v1/events?wait=stored", s.write, "["+about(mary, "2021-01-01T00:00:00Z", 1)+","+about("other", "2021-01-01T00:00:00Z", 2)+"]"), 201)
	for n := 0; n < 2; {
		if <-open == "event" {
			n++
		}
	}
	s.must(s.call("DELETE", "/v1/sessions/"+mary, s.admin, ""), 200)
	var got []string
	if err := s.tail(ctx, "", from, func(m message) bool {
		if m.event != "" {
			got = append(got, m.event)
		}
		if strings.Contains(m.data, mary) {
			t.Errorf("after the erasure: %s", m.data)
		}
		return m.event != "erased"
	}); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, []string{"event", "erased"}) {
		t.Errorf("the tail sends %v", got)
	}
}

// Whoever follows the feed while a session is erased again and again, and others send for it, holds
// what the server holds: no erasure deletes from the copy what the store keeps.
func TestFeedOfErasuresUnderLoad(t *testing.T) {
	t.Parallel()
	s := start(t, "--flush-rows", "1000")
	begin := s.feed(s.read, "after=now").Next
	var senders sync.WaitGroup
	done := make(chan struct{})
	for sender := range 2 {
		senders.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-done:
					return
				default:
				}
				var events []string
				for i := range 5 {
					e := about(mary, time.Now().UTC().Add(2*time.Second).Format(time.RFC3339Nano), 5*n+i)
					events = append(events, strings.Replace(e, mary+"-", fmt.Sprintf("%d-", sender), 1))
				}
				if a := s.call("POST", "/v1/events?wait=stored", s.write, "["+strings.Join(events, ",")+"]"); a.status != 201 {
					t.Errorf("an answer is %d: %s", a.status, a.body)
				}
			}
		})
	}
	held := map[string]string{} // client ids of what the reader holds, by position
	next, erasures := begin, 0
	read := func() (more bool) {
		p := s.feed(s.read, "after="+next)
		for _, i := range p.Items {
			if i.Kind == "erased" {
				clear(held)
				erasures++
				continue
			}
			held[i.Position] = i.Event.ClientID
		}
		next = p.Next
		return len(p.Items) > 0
	}
	const wanted = 4
	for range wanted {
		s.must(s.call("DELETE", "/v1/sessions/"+mary, s.admin, ""), 200)
		read()
	}
	close(done)
	senders.Wait()
	for read() {
	}
	var stored []string
	for p := (feedPage{Next: begin}); ; {
		p = s.feed(s.read, "kind=event&limit=10000&after="+p.Next)
		if len(p.Items) == 0 {
			break
		}
		stored = append(stored, p.lines()...)
	}
	if erasures != wanted {
		t.Errorf("the feed told of %d erasures, want %d", erasures, wanted)
	}
	got := slices.Sorted(maps.Values(held))
	slices.Sort(stored)
	if !slices.Equal(got, stored) {
		t.Errorf("the reader holds %d events, the server %d", len(got), len(stored))
	}
}
