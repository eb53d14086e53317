package registry_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"theeye/internal/registry"
)

// acts returns all acts of a log, the last first, read in pages of limit.
func acts(t testing.TB, trail *registry.AuditLog, q registry.AuditQuery) (list []string, dropped bool) {
	t.Helper()
	for {
		p, err := trail.Page(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		if len(p.Entries) > q.Limit {
			t.Fatalf("a page of %d has %d entries", q.Limit, len(p.Entries))
		}
		for _, e := range p.Entries {
			list = append(list, e.Act+":"+string(e.Outcome))
		}
		if q.Before = p.Next; q.Before == 0 {
			return list, p.Dropped
		}
	}
}

func TestTrail(t *testing.T) {
	dir := t.TempDir()
	js, stop := jetStream(t, filepath.Join(dir, "queue"))
	r := open(t, js, dir)
	trail := r.AuditLog()
	all := registry.AuditQuery{Limit: 2}
	begin := []string{"keepAdminKey:done", "firstStart:done", "beginTrail:done"}
	if got, _ := acts(t, trail, all); !slices.Equal(got, begin) {
		t.Errorf("a first start gives %v", got)
	}

	one := registry.Entry{KeyID: "key_1", Act: "createApp", App: "shop", Remote: "192.0.2.1"}
	two := registry.Entry{KeyID: "key_2", Act: "createKey", App: "shop", Subject: map[string]string{"key_id": "x"}}
	interrupted := registry.Entry{KeyID: "key_1", Act: "eraseSession"}
	for _, e := range []*registry.Entry{&one, &interrupted, &two} {
		if err := trail.Begin(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	one.Note("after", map[string]int{"rate": 5})
	for e, status := range map[*registry.Entry]int{&one: 201, &two: 404} {
		if err := trail.End(t.Context(), *e, status); err != nil {
			t.Fatal(err)
		}
	}
	r.Close()
	stop() // an entry is on disk before this: see the crash test of the binary
	js, _ = jetStream(t, filepath.Join(dir, "queue"))
	trail = open(t, js, dir).AuditLog()

	got, dropped := acts(t, trail, all)
	slices.Sort(got[:2]) // they ended at the same time
	if want := append([]string{"createApp:done", "createKey:refused", "eraseSession:begun"}, begin...); !slices.Equal(got, want) || dropped {
		t.Errorf("the log is %v, dropped %v", got, dropped)
	}
	later, earlier := time.Now().Add(time.Hour), time.Now().Add(-time.Hour)
	for _, c := range []struct {
		q    registry.AuditQuery
		want int
	}{
		{registry.AuditQuery{Act: "createKey"}, 1},
		{registry.AuditQuery{KeyID: "key_1"}, 2},
		{registry.AuditQuery{KeyID: registry.SystemActor}, 3},
		{registry.AuditQuery{App: "shop"}, 2},
		{registry.AuditQuery{App: "shop", KeyID: "key_1"}, 1},
		{registry.AuditQuery{From: &earlier, To: &later}, 6},
		{registry.AuditQuery{From: &later}, 0},
		{registry.AuditQuery{To: &earlier}, 0},
		{registry.AuditQuery{From: &one.At, To: &interrupted.At}, 1},
	} {
		c.q.Limit = 1
		if got, _ := acts(t, trail, c.q); len(got) != c.want {
			t.Errorf("%+v gives %v", c.q, got)
		}
	}
	page, err := trail.Page(t.Context(), registry.AuditQuery{Act: "createApp", Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	one.Outcome, one.Status = registry.Done, 201
	if diff := cmp.Diff(one, page.Entries[0]); diff != "" {
		t.Error(diff)
	}
}

// Whatever is written and however it is paged, each entry is listed once, in the order in which the
// acts ended.
func TestTrailPages(t *testing.T) {
	js, _ := jetStream(t, t.TempDir())
	trail := open(t, js, t.TempDir()).AuditLog()
	want := []string{"beginTrail", "firstStart", "keepAdminKey"}
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		for range rapid.IntRange(0, 12).Draw(t, "acts") {
			n++
			e := registry.Entry{KeyID: fmt.Sprint("k", n%3), Act: fmt.Sprint("act", n)}
			err := trail.Begin(context.Background(), &e)
			if err == nil {
				err = trail.End(context.Background(), e, 200)
			}
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, e.Act)
		}
		key := rapid.SampledFrom([]string{"", "k0", "k1"}).Draw(t, "key")
		q := registry.AuditQuery{Limit: rapid.IntRange(1, 100).Draw(t, "limit"), KeyID: key}
		var got []string
		for more := true; more; more = q.Before > 0 {
			p, err := trail.Page(context.Background(), q)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range p.Entries {
				got = append(got, e.Act)
			}
			q.Before = p.Next
		}
		var expected []string
		for i, act := range slices.Backward(want) {
			if key == "" || i > 2 && fmt.Sprint("k", (i-2)%3) == key {
				expected = append(expected, act)
			}
		}
		if diff := cmp.Diff(expected, got); diff != "" {
			t.Fatal(diff)
		}
	})
}

// A trail that has reached its bound gives up its oldest entries, and says so.
func TestTrailIsBounded(t *testing.T) {
	js, _ := jetStream(t, t.TempDir())
	trail := openWith(t, js, registry.Options{Dir: t.TempDir(), AuditBytes: 64 << 10}).AuditLog()
	for i := range 200 {
		e := registry.Entry{Act: fmt.Sprint("act", i)}
		e.Note("text", strings.Repeat("x", 1000))
		if err := trail.Record(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	got, dropped := acts(t, trail, registry.AuditQuery{Limit: 1000})
	if len(got) < 30 || len(got) > 64 || got[0] != "act199:done" || !dropped {
		t.Errorf("%d entries of a KiB are in 64 KiB, the newest is %s, dropped %v", len(got), got[0], dropped)
	}
	huge := registry.Entry{Act: "huge"}
	huge.Note("text", strings.Repeat("x", 100_000))
	if err := trail.Record(t.Context(), huge); err != nil {
		t.Fatal(err)
	}
	page, err := trail.Page(t.Context(), registry.AuditQuery{Limit: 1})
	if err != nil || string(page.Entries[0].Detail["left_out"]) == "" || page.Entries[0].Detail["text"] != nil {
		t.Errorf("a detail that is too large is kept as %v, %v", page.Entries, err)
	}
}

// A trail goes from one data directory to another with its file, also when that was interrupted
// before.
func TestTrailIsTakenOver(t *testing.T) {
	js, _ := jetStream(t, t.TempDir())
	document, err := open(t, js, t.TempDir()).AuditLog().Document(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	name := filepath.Join(dir, registry.AuditFile)
	other, _ := jetStream(t, t.TempDir())
	if err := os.WriteFile(name, append(document[:len(document)/2:len(document)/2], "no JSON"...), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := registry.Open(t.Context(), other, registry.Options{Dir: dir}); err == nil {
		t.Fatal("half a file was taken over")
	}
	if err := os.WriteFile(name, document, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := registry.AppendAuditEntry(dir, registry.Entry{Act: "restore"}); err != nil {
		t.Fatal(err)
	}
	got, dropped := acts(t, open(t, other, dir).AuditLog(), registry.AuditQuery{Limit: 1000})
	want := []string{"keepAdminKey:done", "firstStart:done", "restore:done", "keepAdminKey:done", "firstStart:done", "beginTrail:done"}
	if diff := cmp.Diff(want, got); diff != "" || dropped {
		t.Error(diff, dropped)
	}
	if _, err := os.Stat(name); err == nil {
		t.Error("the file is still there")
	}
}
