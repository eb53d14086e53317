package theeye

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// spoolFolder returns the name of a folder that is not there yet.
func spoolFolder(t *testing.T) string { return filepath.Join(t.TempDir(), "spool [1]") }

// leave makes a spool with n events, which no server has taken.
func leave(t *testing.T, folder, prefix string, n int) {
	t.Helper()
	client, _ := newTestClient(t, newFakeServer(hangs), Options{Spool: folder})
	track(t, client, prefix, n)
	if err := client.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := client.Close(ctx)
	if codeOf(err) != CodeUnsent || !strings.Contains(err.Error(), fmt.Sprintf("%d are in the spool", n)) {
		t.Fatal(err)
	}
}

// segmentsIn returns the names of the segments in a folder.
func segmentsIn(t *testing.T, folder string) []string {
	t.Helper()
	files, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, file := range files {
		if strings.HasSuffix(file.Name(), ".segment") {
			names = append(names, filepath.Join(folder, file.Name()))
		}
	}
	return names
}

func TestSpoolOutlivesItsProcess(t *testing.T) {
	folder := spoolFolder(t)
	synctest.Test(t, func(t *testing.T) {
		first := newFakeServer(hangs)
		client, _ := newTestClient(t, first, Options{Spool: folder, BatchEvents: 3})
		track(t, client, "e", 3)
		time.Sleep(time.Second)
		closeNow(client)

		second := newFakeServer(accepts)
		next, recorded := newTestClient(t, second, Options{Spool: folder})
		track(t, next, "f", 1)
		if err := next.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range second.received() {
			for _, e := range r.events {
				got = append(got, string(e))
			}
		}
		for i, e := range first.received()[0].events {
			if got[i] != string(e) {
				t.Errorf("event %d was %s and is %s", i, e, got[i])
			}
		}
		if ids := second.ids(); !reflect.DeepEqual(ids, []string{"e-0", "e-1", "e-2", "f-0"}) {
			t.Errorf("received %v", ids)
		}
		if len(recorded.all()) > 0 || len(segmentsIn(t, folder)) > 0 {
			t.Errorf("errors %v, segments %v", recorded.all(), segmentsIn(t, folder))
		}
	})
}

// TestSpoolOfKilledProcess kills a process that holds a spool. The process is this test.
func TestSpoolOfKilledProcess(t *testing.T) {
	const variable = "THEEYE_TEST_SPOOL"
	if folder := os.Getenv(variable); folder != "" {
		client, _ := newTestClient(t, newFakeServer(hangs), Options{Spool: folder})
		track(t, client, "e", 1000)
		if err := client.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		fmt.Println("on disk")
		select {}
	}
	folder := spoolFolder(t)
	process := exec.Command(os.Args[0], "-test.run", t.Name()+"$")
	process.Env = append(os.Environ(), variable+"="+folder)
	out, err := process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if line != "on disk\n" {
		t.Fatal(line, err)
	}
	if _, err := New(Options{URL: "http://eye.test", Key: testKey, Spool: folder}); !errors.Is(err, errSpoolInUse) {
		t.Errorf("a second process: %v", err)
	}
	if err := process.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = process.Wait()
	server := newFakeServer(accepts)
	client, _ := newTestClient(t, server, Options{Spool: folder})
	if err := client.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantIDs(t, server, "e", 1000)
}

func TestSpoolOfOneClient(t *testing.T) {
	folder := spoolFolder(t)
	client, _ := newTestClient(t, newFakeServer(accepts), Options{Spool: folder})
	o := Options{URL: "http://eye.test", Key: testKey, Spool: folder}
	if _, err := New(o); !errors.Is(err, errSpoolInUse) {
		t.Errorf("a second client: %v", err)
	}
	if err := client.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	second, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	closeNow(second)
}

func TestTornRecordIsCutOff(t *testing.T) {
	folder := spoolFolder(t)
	leave(t, folder, "e", 3)
	name := segmentsIn(t, folder)[0]
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	begin := len(magic)
	ends := []int{begin}
	for range 3 {
		length := int(whole[begin]) | int(whole[begin+1])<<8
		begin += recordHead + length
		ends = append(ends, begin)
	}
	if begin != len(whole) {
		t.Fatalf("three records end at %d of %d bytes", begin, len(whole))
	}
	for size := range whole {
		if err := os.WriteFile(name, whole[:size], 0o600); err != nil {
			t.Fatal(err)
		}
		complete := 0
		for complete < 3 && ends[complete+1] <= size {
			complete++
		}
		segments, cut, err := listSegments(folder)
		if err != nil || segments[0].events != complete {
			t.Fatalf("%d bytes: %d events, want %d (%v)", size, segments[0].events, complete, err)
		}
		info, err := os.Stat(name)
		if err != nil || cut != int64(size)-info.Size() || info.Size() != segments[0].bytes {
			t.Fatalf("%d bytes: %d of them are left and %d were cut off: %v", size, info.Size(), cut, err)
		}
	}

	whole[len(whole)-1] ^= 1
	if err := os.WriteFile(name, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	server := newFakeServer(accepts)
	client, recorded := newTestClient(t, server, Options{Spool: folder})
	track(t, client, "f", 1)
	if err := client.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if ids := server.ids(); !reflect.DeepEqual(ids, []string{"e-0", "e-1", "f-0"}) {
		t.Errorf("received %v", ids)
	}
	compareErrors(t, []contractError{{Code: CodeSpool}}, recorded.all())
}

func TestSpoolRemembersWhatIsSettled(t *testing.T) {
	folder := spoolFolder(t)
	synctest.Test(t, func(t *testing.T) {
		server := newFakeServer([]contractAnswer{{Status: 202}, {Error: "hang"}})
		client, _ := newTestClient(t, server, Options{Spool: folder, BatchEvents: 4})
		track(t, client, "e", 10)
		time.Sleep(time.Second)
		closeNow(client)
	})
	for range 2 { // the second one comes to nothing, and changes nothing
		leaveAlone(t, folder)
	}
	server := newFakeServer(accepts)
	client, _ := newTestClient(t, server, Options{Spool: folder})
	if got := client.Stats().Queued; got != 6 {
		t.Errorf("%d events are queued, want 6", got)
	}
	if err := client.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if ids := server.ids(); len(ids) != 6 || ids[0] != "e-4" || ids[5] != "e-9" {
		t.Errorf("received %v", ids)
	}
}

// leaveAlone opens and closes a spool without a server that answers.
func leaveAlone(t *testing.T, folder string) {
	t.Helper()
	client, _ := newTestClient(t, newFakeServer(hangs), Options{Spool: folder})
	closeNow(client)
}

// fullDisk makes segments on a disk with so much room.
type fullDisk struct {
	mu       sync.Mutex
	room     int
	syncing  error         // what Sync returns
	delay    time.Duration // of Sync
	released chan struct{}
}

func (d *fullDisk) set(room int, syncing error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.room, d.syncing = room, syncing
}

func (d *fullDisk) create(name string) (segmentFile, error) {
	f, err := createSegment(name)
	return &fullDiskFile{segmentFile: f, disk: d}, err
}

type fullDiskFile struct {
	segmentFile
	disk *fullDisk
}

func (f *fullDiskFile) Write(b []byte) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if len(b) <= f.disk.room {
		f.disk.room -= len(b)
		return f.segmentFile.Write(b)
	}
	n, err := f.segmentFile.Write(b[:f.disk.room])
	f.disk.room = 0
	return n, errors.Join(err, syscall.ENOSPC)
}

func (f *fullDiskFile) Sync() error {
	if f.disk.released != nil {
		<-f.disk.released
	}
	time.Sleep(f.disk.delay)
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	return errors.Join(f.disk.syncing, f.segmentFile.Sync())
}

func TestFullDiskUnderTheSpool(t *testing.T) {
	folder := spoolFolder(t)
	synctest.Test(t, func(t *testing.T) {
		disk := &fullDisk{room: 1000}
		server := newFakeServer([]contractAnswer{{Status: 503, Headers: map[string]string{"Retry-After": "20"}}, {Status: 202}})
		client, recorded := newTestClient(t, server, Options{Spool: folder, BatchEvents: 4, create: disk.create})
		track(t, client, "e", 3)
		time.Sleep(time.Second) // these are on disk
		for i := 3; i < 10; i++ {
			if err := client.Track(Event{ID: fmt.Sprintf("e-%d", i), SessionID: "s", Category: "c", Name: "n"}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(5 * time.Second)
		compareErrors(t, []contractError{{Code: CodeSpool, Events: 7}}, recorded.all())
		if !strings.Contains(recorded.all()[0].Message, syscall.ENOSPC.Error()) {
			t.Error(recorded.all()[0])
		}
		if files := len(segmentsIn(t, folder)); files != 1 {
			t.Errorf("%d segments", files)
		}
		disk.set(1<<20, nil)
		time.Sleep(2 * time.Second)
		if err := client.Flush(t.Context()); err != nil {
			t.Error(err)
		}
		if s := client.Stats(); s.Queued != 10 || s.QueuedBytes != 0 {
			t.Errorf("after Flush: %+v", s)
		}
		if err := client.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantIDs(t, &fakeServer{requests: server.received()[1:]}, "e", 10)
	})
}

func TestEventsAreSentFromMemoryWhileTheDiskIsFull(t *testing.T) {
	folder := spoolFolder(t)
	synctest.Test(t, func(t *testing.T) {
		disk := &fullDisk{}
		server := newFakeServer(accepts)
		client, recorded := newTestClient(t, server, Options{Spool: folder, create: disk.create})
		track(t, client, "e", 1000)
		if err := client.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantIDs(t, server, "e", 1000)
		disk.set(1<<20, nil)
		time.Sleep(2 * time.Second)
		track(t, client, "f", 1)
		if err := client.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if ids := server.ids(); ids[len(ids)-1] != "f-0" || len(ids) != 1001 {
			t.Errorf("%d events, the last is %s", len(ids), ids[len(ids)-1])
		}
		compareErrors(t, []contractError{{Code: CodeSpool}}, recorded.all())
	})
}

func TestFailedSyncIsNotTrusted(t *testing.T) {
	folder := spoolFolder(t)
	synctest.Test(t, func(t *testing.T) {
		disk := &fullDisk{room: 1 << 20, syncing: syscall.EIO}
		client, _ := newTestClient(t, newFakeServer(hangs), Options{Spool: folder, create: disk.create})
		track(t, client, "e", 2)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := client.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Flush: %v", err)
		}
		disk.set(1<<20, nil)
		if err := client.Flush(t.Context()); err != nil {
			t.Errorf("Flush: %v", err)
		}
		closeNow(client)
		segments, _, err := listSegments(folder)
		if err != nil || len(segments) != 1 || segments[0].events != 2 {
			t.Errorf("%+v: %v", segments, err)
		}
	})
}

func TestSpoolSync(t *testing.T) {
	folder := spoolFolder(t)
	synctest.Test(t, func(t *testing.T) {
		disk := &fullDisk{room: 1 << 20, released: make(chan struct{})}
		client, _ := newTestClient(t, newFakeServer(hangs), Options{Spool: folder, SpoolSync: true, QueueEvents: 2, create: disk.create})
		tracked := make(chan error, 3)
		for range 3 {
			go func() { tracked <- client.Track(Event{Category: "c", Name: "n"}) }()
		}
		if err := <-tracked; codeOf(err) != CodeQueueFull {
			t.Errorf("Track of a full queue: %v", err)
		}
		synctest.Wait()
		if len(tracked) != 0 {
			t.Error("Track did not wait for the disk")
		}
		close(disk.released)
		for range 2 {
			if err := <-tracked; err != nil {
				t.Errorf("Track: %v", err)
			}
		}
		disk.set(0, nil)
		if err := client.Track(Event{Category: "c", Name: "n"}); codeOf(err) != CodeSpool {
			t.Errorf("Track beside a full disk: %v", err)
		}
		closeNow(client)
	})
}

func TestSpoolIsBounded(t *testing.T) {
	folder := spoolFolder(t)
	synctest.Test(t, func(t *testing.T) {
		answers := []contractAnswer{{Status: 503, Headers: map[string]string{"Retry-After": "60"}}, {Status: 202}}
		server := newFakeServer(answers)
		client, recorded := newTestClient(t, server, Options{Spool: folder, SpoolBytes: 20_000, QueueEvents: 50})
		dropped := 0
		for i := range 1000 {
			before := client.Stats().Dropped
			_ = client.Track(Event{ID: fmt.Sprintf("e-%d", i-dropped), SessionID: "s", Category: "c", Name: "n"})
			dropped += int(client.Stats().Dropped - before)
			time.Sleep(10 * time.Millisecond)
		}
		size := int64(0)
		for _, name := range segmentsIn(t, folder) {
			info, err := os.Stat(name)
			if err != nil {
				t.Fatal(err)
			}
			size += info.Size()
		}
		if size > 20_000 || size < 15_000 || client.Stats().Queued != 1000-dropped || dropped < 500 {
			t.Errorf("%d bytes, %d dropped, %+v", size, dropped, client.Stats())
		}
		if codes := recorded.codes(); codes[0] != CodeSpool || codes[1] != CodeQueueFull {
			t.Errorf("errors %v", codes)
		}
		if err := client.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantIDs(t, &fakeServer{requests: server.received()[1:]}, "e", 1000-dropped)
		if left := segmentsIn(t, folder); len(left) > 0 {
			t.Errorf("%v are left", left)
		}
	})
}

func TestSegmentsAreRemovedInTime(t *testing.T) {
	folder := spoolFolder(t)
	client, _ := newTestClient(t, newFakeServer(hangs), Options{Spool: folder})
	text := strings.Repeat("x", 100_000)
	for i := range 100 {
		if err := client.Track(Event{ID: fmt.Sprintf("e-%d", i), Category: "c", Name: "n", Data: map[string]any{"text": text}}); err != nil {
			t.Fatal(err)
		}
	}
	closeNow(client)
	if n := len(segmentsIn(t, folder)); n != 3 {
		t.Fatalf("10 MB are in %d segments", n)
	}
	synctest.Test(t, func(t *testing.T) {
		server := newFakeServer([]contractAnswer{{Status: 202}, {Status: 202}, {Status: 202}, {Status: 202}, {Status: 202}, {Error: "hang"}})
		client, _ := newTestClient(t, server, Options{Spool: folder})
		time.Sleep(time.Second)
		if n := len(segmentsIn(t, folder)); n != 2 {
			t.Errorf("%d segments are left after 5 MB were sent", n)
		}
		closeNow(client)
		last := newFakeServer(accepts)
		client, _ = newTestClient(t, last, Options{Spool: folder})
		if err := client.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantIDs(t, &fakeServer{requests: append(server.received()[:5:5], last.received()...)}, "e", 100)
	})
}

func TestDamageWhileTheSpoolIsOpen(t *testing.T) {
	folder := spoolFolder(t)
	leave(t, folder, "e", 100)
	synctest.Test(t, func(t *testing.T) {
		server := newFakeServer([]contractAnswer{{Status: 503, Headers: map[string]string{"Retry-After": "1"}}, {Status: 202}})
		client, recorded := newTestClient(t, server, Options{Spool: folder, BatchEvents: 2})
		track(t, client, "f", 2)
		synctest.Wait() // the first two events have been read, and some KiB after them
		damage(t, segmentsIn(t, folder)[0])
		if err := client.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		ids := (&fakeServer{requests: server.received()[1:]}).ids()
		if len(ids) != 101 || ids[98] != "e-98" || ids[99] != "f-0" || ids[100] != "f-1" {
			t.Errorf("received %v", ids)
		}
		compareErrors(t, []contractError{{CodeSpool, 1}}, recorded.all())
	})
}

// damage changes the last byte of a file.
func damage(t *testing.T, name string) {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	text[len(text)-1] ^= 1
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestClockSetBackBesideASpool(t *testing.T) {
	folder := spoolFolder(t)
	synctest.Test(t, func(t *testing.T) {
		wall := &fakeClock{start: time.Now(), wall: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
		server := newFakeServer(accepts)
		client, _ := newTestClient(t, server, Options{Spool: folder, now: wall.now})
		track(t, client, "e", 1)
		time.Sleep(100 * time.Millisecond)
		wall.set(-time.Hour)
		track(t, client, "f", 1)
		if err := client.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if r := server.received(); len(r) != 2 || r[0].sentAt[:16] != "2026-01-02T03:04" || r[1].sentAt[:16] != "2026-01-02T02:04" {
			t.Errorf("%d requests, the first of %s", len(r), r[0].sentAt)
		}
	})
}

// What is sent from memory while the disk accepts events again does not shift the numbers of those in
// the spool.
func TestSpoolAfterAFullDisk(t *testing.T) {
	folder := spoolFolder(t)
	synctest.Test(t, func(t *testing.T) {
		disk := &fullDisk{delay: 300 * time.Millisecond}
		server := newFakeServer(accepts)
		client, _ := newTestClient(t, server, Options{Spool: folder, create: disk.create})
		tracked := 0
		one := func() {
			track(t, client, fmt.Sprint("e", tracked), 1)
			tracked++
		}
		for range 3 {
			one() // the disk is full
		}
		time.Sleep(990 * time.Millisecond) // it is tried again after a second
		one()
		disk.set(1<<20, nil)
		time.Sleep(100 * time.Millisecond) // in Sync
		for range 3 {
			one()
		}
		if err := client.Flush(t.Context()); err != nil { // they are sent from memory
			t.Error(err)
		}
		time.Sleep(time.Second)
		for range 300 {
			one()
		}
		time.Sleep(5 * time.Second)
		if err := client.Close(t.Context()); err != nil {
			t.Error(err)
		}
		sent := map[string]int{}
		for _, id := range server.ids() {
			sent[id]++
		}
		for n := range tracked {
			if id := fmt.Sprintf("e%d-0", n); sent[id] != 1 {
				t.Errorf("%s was sent %d times", id, sent[id])
			}
		}
	})
}
