package duckdb

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"theeye/internal/event"
	"theeye/internal/store"
)

// kept opens a store with a folder and one segment for each of n frames.
func kept(t *testing.T, opts Options, n uint64) *Store {
	t.Helper()
	opts.Dir, opts.MemoryLimit = t.TempDir(), 256<<20
	s, err := Open(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	for frame := uint64(1); frame <= n; frame++ {
		add(t, s, frame)
	}
	return s
}

// add writes a frame of twenty events and one rejection, and flushes it.
func add(t *testing.T, s *Store, frame uint64) {
	t.Helper()
	b := store.Batch{First: frame, Last: frame, Arrivals: map[string]store.Arrivals{"shop": {Received: 21}}}
	for i := range 20 {
		at := event.Micros(1_700_000_000_000_000 + (i*7919)%20*1000)
		e := &event.Event{
			App: "shop", SessionID: string(rune('a' + i%3)), Category: "c", Name: "n", Data: []byte("{}"), Timestamp: "t",
			SentTime: at, OccurredAt: at, ReceivedAt: at, Position: event.Position{Frame: frame, Index: uint32(i)}, CarriedBy: frame,
		}
		e.ID[0], e.ID[1] = byte(frame), byte(i)
		b.Records = append(b.Records, event.Record{Event: e})
	}
	r := &event.Rejection{App: "shop", ReceivedAt: 1, Raw: []byte("{"), Position: event.Position{Frame: frame, Index: 20}, CarriedBy: frame}
	r.ID[0] = byte(frame)
	b.Records = append(b.Records, event.Record{Rejection: r})
	if _, err := s.Write(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if err := s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func there(s *Store, name string) bool {
	_, err := os.Stat(filepath.Join(s.segmentDir(), name))
	return err == nil
}

// Files that a lease names stay until the last lease that names them has ended.
func TestLeasedSegmentsStay(t *testing.T) {
	s := kept(t, Options{}, 2)
	first, err := s.Lease(t.Context())
	if err != nil || first.Flushed != 2 || len(first.Files) != 4 || !strings.Contains(string(first.Manifest), first.Files[0].SHA256) {
		t.Fatalf("lease %+v, %v", first, err)
	}
	if s.TrimLimit() != 2 {
		t.Errorf("the queue is held behind %d, want 2", s.TrimLimit())
	}
	add(t, s, 3)
	second, err := s.Lease(t.Context())
	if err != nil || second.Flushed != 3 || s.TrimLimit() != 2 {
		t.Fatalf("second lease %+v, held %d, %v", second, s.TrimLimit(), err)
	}

	gone := s.current().manifest.Segments[0]
	s.unlink(gone)
	if !there(s, gone.Data.Name) || !there(s, gone.Filter.Name) {
		t.Fatal("a leased file was removed")
	}
	r, err := s.ReadSegmentFile(first.ID, gone.Data.Name)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(r); err != nil || int64(len(b)) != gone.Data.Bytes {
		t.Errorf("read %d bytes of %d, %v", len(b), gone.Data.Bytes, err)
	}
	_ = r.Close()

	s.EndLeases()
	if there(s, gone.Data.Name) || there(s, gone.Filter.Name) {
		t.Error("files that nobody leases any more are still there")
	}
	if !there(s, second.Files[2].Name) {
		t.Error("a file of the store was removed")
	}
	if s.TrimLimit() != math.MaxUint64 {
		t.Errorf("the queue is held behind %d without a lease", s.TrimLimit())
	}
}

func TestLeaseNamesItsFilesAlone(t *testing.T) {
	s := kept(t, Options{}, 1)
	l, err := s.Lease(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	add(t, s, 2)
	for _, name := range []string{"../MANIFEST.json", "", ".", "seg-00000002.duckdb", "/etc/passwd"} {
		if _, err := s.ReadSegmentFile(l.ID, name); !errors.Is(err, store.ErrNotLeased) {
			t.Errorf("%q: %v", name, err)
		}
	}
	if _, err := s.ReadSegmentFile("no lease", "seg-00000001.duckdb"); !errors.Is(err, store.ErrLeaseEnded) {
		t.Errorf("an unknown lease: %v", err)
	}
}

// A lease that is ended stops those who read.
func TestEndedLeaseStopsReaders(t *testing.T) {
	s := kept(t, Options{}, 1)
	l, err := s.Lease(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.ReadSegmentFile(l.ID, l.Files[0].Name)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := r.Read(make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	s.EndLeases()
	if _, err := io.ReadAll(r); !errors.Is(err, store.ErrLeaseEnded) {
		t.Errorf("reading goes on with %v", err)
	}
}

func TestUnusedLeaseEndsByItself(t *testing.T) {
	s := kept(t, Options{LeaseAge: time.Hour}, 1)
	l, err := s.Lease(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	gone := s.current().manifest.Segments[0]
	s.unlink(gone)
	s.expireLeases(time.Now().Add(59 * time.Minute))
	if err := s.RenewLease(l.ID); err != nil || !there(s, gone.Data.Name) {
		t.Fatalf("ended too early: %v", err)
	}
	s.expireLeases(time.Now().Add(61 * time.Minute))
	if err := s.RenewLease(l.ID); !errors.Is(err, store.ErrLeaseEnded) || there(s, gone.Data.Name) {
		t.Errorf("not ended: %v", err)
	}
}

func TestLeasesAreBounded(t *testing.T) {
	s := kept(t, Options{}, 1)
	var ids []string
	for range maxLeases + 1 {
		l, err := s.Lease(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, l.ID)
	}
	for i, id := range ids {
		if err := s.RenewLease(id); (i == 0) != errors.Is(err, store.ErrLeaseEnded) {
			t.Errorf("lease %d: %v", i, err)
		}
	}
}

func TestStoreWithoutFolderGivesNoLease(t *testing.T) {
	s, err := Open(t.Context(), Options{MemoryLimit: 256 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if _, err := s.Lease(t.Context()); !errors.Is(err, errNoFolder) {
		t.Error(err)
	}
}

func faultsOf(t *testing.T, dir string) (texts []string) {
	t.Helper()
	faults, err := Verify(t.Context(), VerifyOptions{Dir: dir, MemoryLimit: 256 << 20})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range faults {
		texts = append(texts, f.File+" "+f.Text)
	}
	return texts
}

// Verify says nothing of a sound store, also beside its own process, and names
// each kind of damage.
func TestVerify(t *testing.T) {
	s := kept(t, Options{}, 3)
	dir := s.opts.Dir
	if got := faultsOf(t, dir); got != nil {
		t.Fatalf("a sound store has faults: %v", got)
	}
	m := *s.current().manifest
	for name, c := range map[string]struct {
		change func(m *Manifest)
		want   string
	}{
		"rows":     {func(m *Manifest) { m.Segments[0].Rows.Events++ }, "rows are"},
		"bounds":   {func(m *Manifest) { at := int64(1); m.Segments[0].Occurred.Min = &at }, "times of events are"},
		"accounts": {func(m *Manifest) { m.Arrivals = map[string]store.Arrivals{"shop": {Received: 64}} }, "MANIFEST.json does not balance: application shop: 64 received, but 63 are accounted for"},
		"checksum": {func(m *Manifest) { m.Segments[0].Data.SHA256 = "00" }, "does not have the checksum"},
		"filter":   {func(m *Manifest) { m.Segments[0].Filter.Bytes = 1 }, "the manifest says 1; the server rebuilds it soon after its next start"},
		"missing":  {func(m *Manifest) { m.Segments[0].Data.Name = "seg-99999999.duckdb" }, "is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			changed := m
			changed.Segments = append([]SegmentInfo(nil), m.Segments...)
			c.change(&changed)
			if err := changed.write(dir); err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(faultsOf(t, dir), "\n"); strings.Count(got, "\n") > 0 || !strings.Contains(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	whole := m.Segments[0]
	damaged := m.without(whole.ID, "its file is missing")
	damaged.Damaged[0].Acknowledged = true
	if err := damaged.write(dir); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(faultsOf(t, dir), "\n"); !strings.Contains(got, "are not available; its loss was acknowledged; an intact copy of the file in store/quarantine and `eye store readmit` bring it back") {
		t.Errorf("of a damaged segment it says %q", got)
	}
	if err := m.write(dir); err != nil {
		t.Fatal(err)
	}
	tombstones := filepath.Join(t.TempDir(), "tombstones")
	if err := os.WriteFile(tombstones, []byte("damaged\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	faults, err := Verify(t.Context(), VerifyOptions{Dir: dir, Tombstones: tombstones})
	if err != nil || len(faults) != 1 || faults[0].File != "tombstones" || !strings.HasPrefix(faults[0].Text, "cannot be used: ") || !strings.Contains(faults[0].Text, "eye store recover --keep-tombstones") {
		t.Errorf("of damaged tombstones it says %v, %v", faults, err)
	}
}

// Rows in another order are found, in each table.
func TestVerifySeesTheOrder(t *testing.T) {
	in, err := openInstance(t.Context(), limits{memory: 256 << 20, threads: 1, conns: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer in.close()
	run := func(text string) {
		if err := in.exec(context.Background(), text); err != nil {
			t.Fatal(err)
		}
	}
	run("CREATE TABLE sorted AS SELECT i // 1000 AS slice, i AS session_id FROM range(300000) r(i) ORDER BY slice, session_id")
	run("CREATE TABLE swapped AS SELECT i // 1000 AS slice, CASE i WHEN 250000 THEN 250001 WHEN 250001 THEN 250000 ELSE i END AS session_id FROM range(300000) r(i)")
	for table, want := range map[string]int64{"sorted": 0, "swapped": 1} {
		if n, err := countUnsorted(t.Context(), in, table, "slice, session_id"); err != nil || n != want {
			t.Errorf("%s: %d misplaced, %v", table, n, err)
		}
	}
	// The order of a table that was made in one thread is the order of its rows.
	plan := ""
	err = eachRow(t.Context(), in, "EXPLAIN SELECT lag(row(slice, session_id)) OVER () FROM sorted", func(rows *sql.Rows) error {
		var key, text string
		err := rows.Scan(&key, &text)
		plan += text
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(plan, "STREAMING_WINDOW") {
		t.Errorf("the window holds the whole table in memory:\n%s", plan)
	}
}

// A lease does not name files that are gone: a segment is quarantined, and a filter is rebuilt.
// One that goes later ends the lease, and the next one does without it.
func TestLeaseOfFilesThatAreGone(t *testing.T) {
	gone := func(_ *testing.T, name string) error { return os.Remove(name) }
	cut := func(_ *testing.T, name string) error { return os.Truncate(name, 100) }
	for name, damage := range map[string]func(*testing.T, string) error{"gone": gone, "cut": cut} {
		for _, later := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, during a lease: %t", name, later), func(t *testing.T) {
				s := kept(t, Options{}, 3)
				m := s.current().manifest
				data, filter := m.Segments[0].Data.Name, m.Segments[1].Filter.Name
				lost, err := s.Lease(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				for _, name := range []string{data, filter} {
					if err := damage(t, s.segmentPath(name)); err != nil {
						t.Fatal(err)
					}
				}
				if later {
					for _, name := range []string{data, filter} {
						if _, err := s.ReadSegmentFile(lost.ID, name); !errors.Is(err, store.ErrLeaseEnded) {
							t.Errorf("%s: %v", name, err)
						}
					}
					if err := s.RenewLease(lost.ID); !errors.Is(err, store.ErrLeaseEnded) {
						t.Errorf("the lease has not ended: %v", err)
					}
				}
				l, err := s.Lease(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if len(l.Files) != 4 || len(s.Damaged()) != 1 || s.Damaged()[0].Segment.Data.Name != data {
					t.Errorf("the lease has %+v, damaged are %v", l.Files, s.Damaged())
				}
				for _, want := range l.Files {
					r, err := s.ReadSegmentFile(l.ID, want.Name)
					if err != nil {
						t.Fatal(err)
					}
					sum := sha256.New()
					if _, err := io.Copy(sum, r); err != nil || hex.EncodeToString(sum.Sum(nil)) != want.SHA256 {
						t.Errorf("%s is not what the lease says: %v", want.Name, err)
					}
					_ = r.Close()
				}
			})
		}
	}
}

// A file that its disk cannot read ends the lease as one that is gone.
func TestLeaseOfAFileThatCannotBeRead(t *testing.T) {
	s := kept(t, Options{}, 2)
	l, err := s.Lease(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	name := l.Files[0].Name
	r, err := s.ReadSegmentFile(l.ID, name)
	if err != nil {
		t.Fatal(err)
	}
	_ = r.Close()
	f, err := os.Open("/proc/self/mem") // its first bytes give EIO
	if err != nil {
		t.Skip(err)
	}
	r.(*leasedFile).File = f
	defer r.Close()
	if err := os.Truncate(s.segmentPath(name), 100); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Read(make([]byte, 10)); !errors.Is(err, syscall.EIO) {
		t.Errorf("reading ends with %v", err)
	}
	if err := s.RenewLease(l.ID); !errors.Is(err, store.ErrLeaseEnded) || len(s.Damaged()) != 1 {
		t.Errorf("the lease: %v; damaged: %v", err, s.Damaged())
	}
}
