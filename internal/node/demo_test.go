package node_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"theeye/internal/client"
	"theeye/internal/node"
)

// demoed runs a node with --demo on a data directory.
func demoed(t *testing.T, data string) (admin *client.Client, end func()) {
	t.Helper()
	cfg := settings(t, data)
	cfg.Demo = true
	n, address, end := startedWith(t, cfg)
	admin, err := client.New(address, n.FirstStart().AdminKey)
	if err != nil {
		t.Fatal(err)
	}
	return admin, end
}

// get decodes the answer of a path.
func get[T any](t *testing.T, c *client.Client, path string, query url.Values) (answer T) {
	t.Helper()
	body, err := c.Do(t.Context(), client.Request{Method: http.MethodGet, Path: path, Query: query})
	if err == nil {
		err = json.Unmarshal(body, &answer, json.MatchCaseInsensitiveNames(true))
	}
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

type books struct {
	Balanced bool `json:"balanced"`
	Apps     []struct {
		App      string `json:"app"`
		Received int    `json:"received"`
		Lost     int    `json:"lost"`
	} `json:"apps"`
}

func (b *books) received() (all int) {
	for _, a := range b.Apps {
		all += a.Received
	}
	return all
}

type feedPage struct {
	Items []struct {
		Event, Rejection *struct {
			ReceivedAt time.Time `json:"received_at"`
		}
	} `json:"items"`
	Next string `json:"next"`
}

// A new directory gets a week of history before the server listens. Its times are those of the
// week, its books balance, and nothing is reported. A restart adds no history.
func TestDemoHasAHistory(t *testing.T) {
	data := t.TempDir()
	began := time.Now() // the week ends then
	admin, end := demoed(t, data)
	defer func() { end() }()
	if r := get[struct {
		Ready   bool     `json:"ready"`
		Reasons []string `json:"reasons"`
	}](t, admin, client.ReadinessPath, nil); !r.Ready || len(r.Reasons) > 0 {
		t.Errorf("/readyz says %+v", r)
	}
	b := get[books](t, admin, client.BooksPath, nil)
	if n := b.received(); !b.Balanced || n < 48_000 || n > 52_000 {
		t.Errorf("the books are %+v", b)
	}

	var last time.Time
	items, back, next := 0, 0, ""
	for {
		query := url.Values{"limit": {"1000"}}
		if next != "" {
			query.Set("after", next)
		}
		page := get[feedPage](t, admin, client.FeedPath, query)
		for _, item := range page.Items {
			of := item.Event
			if of == nil {
				of = item.Rejection
			}
			at := of.ReceivedAt
			items++
			switch {
			case at.After(began): // live
			case began.Sub(at) > 7*24*time.Hour:
				t.Fatalf("item %d was received at %v", items, at)
			case at.Before(last): // it was replayed
				back++
			default:
				last = at
			}
		}
		if next = page.Next; len(page.Items) == 0 || items > 60_000 {
			break
		}
	}
	if items < 47_500 {
		t.Errorf("%d items", items)
	}

	summary := get[struct {
		Groups []struct {
			App, Name, Code, Pointer string
			Count                    int
			FirstSeen                time.Time `json:"first_seen"`
			LastSeen                 time.Time `json:"last_seen"`
		} `json:"groups"`
	}](t, admin, client.RejectionsSummaryPath, nil)
	stories := 0
	for _, g := range summary.Groups {
		switch {
		case g.App == "shop" && g.Code == "schema_violation" && g.Pointer == "/data/form/phone":
			if stories++; g.FirstSeen.Local().Weekday() != time.Tuesday || g.LastSeen.Sub(g.FirstSeen) > 40*time.Minute || g.LastSeen.Sub(g.FirstSeen) < 35*time.Minute || g.Count < 100 {
				t.Errorf("the form is %+v", g)
			}
		case g.App == "callcenter" && g.Code == "timestamp_in_future":
			stories++
		}
	}
	if stories < 2 {
		t.Errorf("the groups are %+v", summary.Groups)
	}
	replays := get[struct {
		Replays []struct {
			Stored    int
			StartedAt time.Time `json:"started_at"`
		} `json:"replays"`
	}](t, admin, client.ReplaysPath, nil).Replays
	if len(replays) != 1 || replays[0].Stored < 5 || replays[0].Stored != back || began.Sub(replays[0].StartedAt) < 24*time.Hour {
		t.Errorf("the replays are %+v, and %d items are earlier than those before", replays, back)
	}
	types := get[struct {
		Types []struct {
			Version   int
			CreatedAt time.Time `json:"created_at"`
		} `json:"types"`
	}](t, admin, client.TypesPath, nil).Types
	if len(types) != 6 {
		t.Errorf("the types are %+v", types)
	}
	for _, v := range types {
		if began.Sub(v.CreatedAt) < 24*time.Hour {
			t.Errorf("a type was published at %v", v.CreatedAt)
		}
	}
	end()

	admin, end = demoed(t, data)
	again := get[books](t, admin, client.BooksPath, nil)
	if more := again.received() - b.received(); !again.Balanced || more < 0 || more > 500 {
		t.Errorf("a restart adds %d events", more)
	}
}

// A directory whose metadata are of others is refused, and unchanged. One with an application "demo"
// gets live traffic of that.
func TestDemoIsAGuest(t *testing.T) {
	data := t.TempDir()
	n, address, end := started(t, data)
	admin, err := client.New(address, n.FirstStart().AdminKey)
	if err != nil {
		t.Fatal(err)
	}
	if err := admin.CreateApp(t.Context(), "warehouse"); err != nil {
		t.Fatal(err)
	}
	end()
	cfg := settings(t, data)
	cfg.Demo = true
	if n, err := node.Open(t.Context(), cfg, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "(default, warehouse)") {
		if err == nil {
			n.Close()
		}
		t.Fatalf("a directory of others: %v", err)
	}
	n, address, end = started(t, data)
	if admin, err = client.New(address, n.FirstStart().AdminKey); err != nil {
		t.Fatal(err)
	}
	if err := admin.CreateApp(t.Context(), "demo"); err != nil {
		t.Fatal(err)
	}
	end()
	admin, end = demoed(t, data)
	defer end()
	eventually(t, "the guest's events", func() bool {
		b := get[books](t, admin, client.BooksPath, nil)
		for _, a := range b.Apps {
			if a.App != "demo" && a.Received > 0 {
				t.Fatalf("%s receives events", a.App)
			}
		}
		return b.received() > 0
	})
}

// eventually polls until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for tick := time.NewTicker(20 * time.Millisecond); !holds(); {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("waited in vain for " + what)
		}
	}
}

// With a damaged file, it is not known what to do.
func TestDemoFileIsDamaged(t *testing.T) {
	data := t.TempDir()
	file := filepath.Join(data, "demo")
	if err := os.WriteFile(file, []byte(`{"version":1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := settings(t, data)
	cfg.Demo = true
	if _, err := node.Open(t.Context(), cfg, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("error %v", err)
	}
	_, _, end := started(t, data) // without --demo, the file does not matter
	end()
}
