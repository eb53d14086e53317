package test

import (
	"context"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
)

// feedCopy is what a reader of the feed keeps.
type feedCopy struct {
	items []feedItem
	next  string
}

// take keeps an item, or follows an erasure.
func (c *feedCopy) take(i feedItem) {
	c.next = i.Position
	if i.Kind == "erased" {
		c.items = slices.DeleteFunc(c.items, func(h feedItem) bool { return h.SessionKey == i.SessionKey })
		return
	}
	c.items = append(c.items, i)
}

// page reads at most limit items.
func (c *feedCopy) page(s *server, limit int) (items int) {
	s.t.Helper()
	query := fmt.Sprint("limit=", limit)
	if c.next != "" {
		query += "&after=" + c.next
	}
	p := s.feed(s.read, query)
	for _, i := range p.Items {
		c.take(i)
	}
	c.next = p.Next
	return len(p.Items)
}

// rest reads the rest of the feed.
func (c *feedCopy) rest(s *server) {
	s.t.Helper()
	for c.page(s, 4) > 0 {
	}
}

// tail takes what a tail after the copy's position sends, up to the end of the feed.
func (c *feedCopy) tail(s *server) {
	s.t.Helper()
	end := s.feed(s.read, "after=now").Next
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	if err := s.tail(ctx, "", c.next, func(m message) bool {
		var data struct {
			ClientID   string `json:"client_id"`
			SessionID  string `json:"session_id"`
			App        string `json:"app"`
			SessionKey string `json:"session_key"`
		}
		if m.event != "" {
			if err := json.Unmarshal([]byte(m.data), &data); err != nil {
				s.t.Error(err)
			}
			i := feedItem{Position: m.id, Kind: m.event, App: data.App, SessionKey: data.SessionKey}
			if m.event == "event" {
				i.Event = &feedEvent{ClientID: data.ClientID, SessionID: data.SessionID}
			}
			c.take(i)
		}
		c.next = m.id
		return m.id < end
	}); err != nil {
		s.t.Fatal(err)
	}
}

// goBack asks for the copy's position, which must be gone, in all ways, and deletes what came after
// common.
func (c *feedCopy) goBack(s *server) {
	s.t.Helper()
	a := s.call("GET", "/v1/feed?after="+c.next, s.read, "")
	s.must(a, 410)
	for _, path := range []string{"/v1/feed?wait=20s&after=", "/v1/tail?after="} {
		if again := s.call("GET", path+url.QueryEscape(c.next), s.read, ""); again.status != 410 || again.text("common") != a.text("common") {
			s.t.Errorf("%s: %d %s, want %s", path, again.status, again.body, a.body)
		}
	}
	if a.text("code") != "position_gone" {
		s.t.Errorf("code %s", a.text("code"))
	}
	common, _ := a.json()["common"].(string)
	c.items = slices.DeleteFunc(c.items, func(i feedItem) bool { return i.Position > common })
	c.next = common
}

// After a restore, a reader goes on with a position of before the backup. One that has read further
// is told which position both have, and goes on from there. What both have keeps its position.
func TestFeedAfterRestore(t *testing.T) {
	t.Parallel()
	s := start(t, "--flush-rows", "5")
	sent := 0
	send := func(s *server, sessions ...string) {
		t.Helper()
		for _, session := range sessions {
			sent++
			s.must(s.call("POST", "/v1/events?wait=stored", s.write, about(session, time.Now().UTC().Format(time.RFC3339Nano), sent)), 201)
		}
	}
	send(s, mary, "a", mary)
	first := filepath.Join(t.TempDir(), "backup")
	s.backup(first)
	var behind, atBackup, beyond, tailing feedCopy
	behind.page(s, 2)
	atBackup.rest(s)
	fromBefore := feedCopy{slices.Clone(atBackup.items), atBackup.next}
	send(s, "a", mary, "b")
	second := filepath.Join(t.TempDir(), "backup")
	s.backup(second)
	atBackup.rest(s)
	send(s, mary, "b", "c", mary)
	s.must(s.call("DELETE", "/v1/sessions/"+mary, s.admin, ""), 200)
	send(s, mary, "d")
	beyond.rest(s)
	tailing.page(s, 1)
	tailing.tail(s)
	same := func(s *server, who string, c *feedCopy) {
		t.Helper()
		var fresh feedCopy
		fresh.rest(s)
		if got, want := (feedPage{Items: c.items}).lines(), (feedPage{Items: fresh.items}).lines(); !slices.Equal(got, want) {
			t.Errorf("%s has\n%v, want\n%v", who, got, want)
		}
		for n := range min(len(c.items), len(fresh.items)) {
			if got, want := c.items[n].Position, fresh.items[n].Position; got != want {
				t.Errorf("%s knows %s as %s, the server as %s", who, c.items[n], got, want)
			}
		}
	}
	same(s, "who tails", &tailing)
	s.kill()

	r := s.restored(second, "--tombstones", filepath.Join(s.data, "tombstones"))
	for who, c := range map[string]*feedCopy{"who is behind": &behind, "who is at the backup": &atBackup} {
		c.page(r, 2)
		c.rest(r)
		same(r, who, c)
	}
	beyond.goBack(r)
	tailing.goBack(r)
	if beyond.next == "" || beyond.next != tailing.next {
		t.Errorf("in common are %q and %q", beyond.next, tailing.next)
	}
	send(r, "e", mary)
	beyond.rest(r)
	tailing.tail(r)
	same(r, "who read further", &beyond)
	same(r, "who heard further", &tailing)
	r.kill()

	r = s.restored(first)
	fromBefore.rest(r)
	same(r, "who read the first backup", &fromBefore)
	if len(fromBefore.items) != 3 {
		t.Errorf("the first backup has %v", feedPage{Items: fromBefore.items}.lines())
	}
}
