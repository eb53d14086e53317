package test

import (
	"bytes"
	binaryform "encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// blocks returns the files of frames in the queue.
func (s *server) blocks() []string {
	s.t.Helper()
	list, err := filepath.Glob(filepath.Join(s.data, "queue", "jetstream", "*", "streams", "EYE_FRAMES", "msgs", "*.blk"))
	if err != nil {
		s.t.Fatal(err)
	}
	return list
}

// framesOf sends n frames of one event each and returns how they were told.
func (s *server) framesOf(n int) {
	s.t.Helper()
	for i := range n {
		s.post(fmt.Sprintf(`{"id":"e%d","session_id":"s","category":"c","name":"n","data":{},"timestamp":"2021-01-01T00:00:00Z"}`, i+1))
	}
}

// marked returns the offset of an id in a file of the queue, whose frames have one record each.
func marked(t *testing.T, file string, n int) int64 {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	at := 0
	for range n {
		i := bytes.Index(b[at:], []byte("EYEF"))
		if i < 0 {
			t.Fatal("the file has too few frames")
		}
		at += i + 1
	}
	return int64(at + 20)
}

func flipBit(t *testing.T, file string, at int64) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 1
	if _, err := f.WriteAt(b[:], at); err != nil {
		t.Fatal(err)
	}
}

func (s *server) sums(received, stored, lost int) {
	s.t.Helper()
	a := s.account()
	if a["received"] != float64(received) || a["stored"] != float64(stored) || a["lost"] != float64(lost) || a["balanced"] != true {
		s.t.Errorf("want received %d, stored %d, lost %d; the books say %v", received, stored, lost, a)
	}
}

// reasons returns what /readyz tells while everything works.
func (s *server) reasons() string {
	s.t.Helper()
	a := s.call("GET", "/readyz", "", "")
	s.must(a, 200)
	return a.text("reasons")
}

// A flipped bit in the queue's newest file makes JetStream truncate the file there. Acknowledged
// events after it are counted as lost and reported, their sequences are not assigned again, and
// kills do not change the count.
func TestLostFramesAreCounted(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.framesOf(6)
	s.kill()
	flipBit(t, s.blocks()[0], marked(t, s.blocks()[0], 3))
	s.launch()
	s.sums(6, 2, 4)
	if got := s.reasons(); !strings.Contains(got, "4 acknowledged events (shop 4) in frames 3 to 6 are lost: files of the queue or the store are damaged, missing or out of date. If queue/quarantine holds a copy, `eye store rescue FILE` may bring some back") {
		t.Errorf("readyz tells %s", got)
	}
	if !strings.Contains(s.output.String(), `"level":"ERROR","msg":"acknowledged events are lost"`) {
		t.Error("no line of the log tells it")
	}
	if got := string(s.call("GET", "/metrics", s.admin, "").body); !strings.Contains(got, "\neye_worker_lost_events_total 4\n") {
		t.Error("the metric does not count 4 lost events")
	}
	s.post(`{"id":"later","session_id":"s","category":"c","name":"n","data":{},"timestamp":"2021-01-01T00:00:00Z"}`)
	s.sums(7, 3, 4)
	var receipt struct {
		Arrivals []struct {
			Position struct {
				Frame int `json:"frame"`
			} `json:"position"`
		} `json:"arrivals"`
	}
	a := s.call("GET", "/v1/receipts/later", s.read, "")
	if err := json.Unmarshal(a.body, &receipt); err != nil || len(receipt.Arrivals) != 1 || receipt.Arrivals[0].Position.Frame <= 6 {
		t.Errorf("the frame behind the lost ones: %s", a.body)
	}
	s.framesOf(6) // sent again
	s.sums(13, 7, 4)
	for range 2 {
		s.kill()
		s.launch()
		s.sums(13, 7, 4)
		if !strings.Contains(s.reasons(), "are lost") {
			t.Error("the reason is gone after a kill")
		}
	}
	s.shutDown()
	s.launch()
	s.sums(13, 7, 4)
	if got := s.reasons(); got != "[]" {
		t.Errorf("after an ordered end readyz tells %s", got)
	}
	if got := s.call("GET", "/metrics", s.admin, "").values(t)["eye_worker_lost_events_total"]; got != 4 {
		t.Errorf("after an ordered end the metric counts %v lost events", got)
	}
}

// What the queue holds before the lost frames may fill more of the store's memory than there is
// without a flush. A start that has to count what is lost must not wait for one in vain.
func TestLostFramesBehindMuch(t *testing.T) {
	t.Parallel()
	const frames, events = 8, 50
	s := start(t)
	for i := range frames {
		s.post(numbered(events*i, events*(i+1)))
	}
	s.kill()
	flipBit(t, s.blocks()[0], marked(t, s.blocks()[0], frames))
	s.args = []string{"--flush-rows", "10"}
	s.launch()
	s.sums(frames*events, (frames-1)*events, events)
}

// A queue whose folder is gone, or is an earlier copy, has lost what was acknowledged since.
func TestLostQueue(t *testing.T) {
	t.Parallel()
	for _, old := range []bool{false, true} {
		t.Run(map[bool]string{false: "no folder", true: "an earlier copy"}[old], func(t *testing.T) {
			s := start(t)
			s.framesOf(2)
			s.kill()
			queue, copied := filepath.Join(s.data, "queue"), filepath.Join(t.TempDir(), "queue")
			if err := os.CopyFS(copied, os.DirFS(queue)); err != nil {
				t.Fatal(err)
			}
			s.launch()
			for i := range 5 {
				s.post(fmt.Sprintf(`{"id":"x%d","session_id":"s","category":"c","name":"n","data":{},"timestamp":"2021-01-01T00:00:00Z"}`, i))
			}
			s.kill()
			if err := os.RemoveAll(queue); err != nil {
				t.Fatal(err)
			}
			if old {
				if err := os.CopyFS(queue, os.DirFS(copied)); err != nil {
					t.Fatal(err)
				}
				s.launch()
				s.sums(7, 2, 5)
				return
			}
			s.launch()
			s.sums(7, 0, 7)
			if got := s.reasons(); !strings.Contains(got, "7 acknowledged events (shop 7) in frames 1 to 7 are lost") || strings.Contains(got, "rescue") {
				t.Errorf("readyz tells %s", got)
			}
		})
	}
}

// A store that is older than the queue lacks what the queue has trimmed since; the totals of the
// confirmed record say how much that is.
func TestOlderStore(t *testing.T) {
	t.Parallel()
	s := start(t, "--queue-max-bytes", "16MiB")
	s.framesOf(3)
	s.shutDown()
	dir, copied := filepath.Join(s.data, "store"), filepath.Join(t.TempDir(), "store")
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	s.launch()
	for i := range 4 {
		s.post(fmt.Sprintf(`{"id":"y%d","session_id":"t","category":"c","name":"n","data":{},"timestamp":"2021-01-01T00:00:00Z"}`, i))
	}
	s.must(s.call("DELETE", "/v1/sessions/nobody", s.admin, ""), 200) // trims the queue
	s.post(`{"id":"z","session_id":"t","category":"c","name":"n","data":{},"timestamp":"2021-01-01T00:00:00Z"}`)
	s.shutDown()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(dir, os.DirFS(copied)); err != nil {
		t.Fatal(err)
	}
	tombstones := filepath.Join(s.data, "tombstones")
	if _, err := os.Stat(tombstones); err != nil {
		t.Fatal(err)
	}
	s.launch()
	a := s.account()
	if a["received"] != 8.0 || a["lost"] == 0.0 || a["balanced"] != true || a["stored"].(float64)+a["lost"].(float64) != 8 {
		t.Errorf("the books say %v", a)
	}
	s.eventually("readyz to tell of the loss", func() bool { return strings.Contains(s.reasons(), "are lost") })
}

// Damage to the confirmed record loses nothing when the frames are there.
func TestDamagedConfirmed(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.framesOf(6)
	s.kill()
	files, err := filepath.Glob(filepath.Join(s.data, "confirmed", "*"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		flipBit(t, file, 40)
	}
	s.launch()
	s.sums(6, 6, 0)
	s.kill()
	if err := os.RemoveAll(filepath.Join(s.data, "confirmed")); err != nil {
		t.Fatal(err)
	}
	s.launch()
	s.sums(6, 6, 0)
	if got := s.reasons(); !strings.Contains(got, "the confirmed record, "+filepath.Join(s.data, "confirmed")+", is missing. A new one was begun; events lost before this start cannot be counted") {
		t.Errorf("readyz tells %s", got)
	}
	if !strings.Contains(s.output.String(), `"level":"ERROR","msg":"the confirmed record is not reliable`) {
		t.Error("no line of the log tells it")
	}
	s.framesOf(6)
	s.sums(12, 6, 0)
	s.shutDown()
	s.launch()
	s.sums(12, 6, 0)
	if got := s.reasons(); got != "[]" {
		t.Errorf("after an ordered end readyz tells %s", got)
	}

	// Moved away after a clean shutdown, and once more.
	for range 2 {
		s.shutDown()
		if err := os.RemoveAll(filepath.Join(s.data, "confirmed")); err != nil {
			t.Fatal(err)
		}
		s.launch()
		if got := s.reasons(); !strings.Contains(got, "is missing") {
			t.Errorf("readyz tells %s", got)
		}
	}

	// Its absence is in order in what was restored.
	backup, restored := filepath.Join(t.TempDir(), "backup"), &server{t: t, data: filepath.Join(t.TempDir(), "restored")}
	for _, args := range [][]string{{"backup", backup, "--data", s.data}, {"restore", backup, "--data", restored.data}} {
		if code, out := runEye(t, nil, args...); code != 0 {
			t.Fatal(out)
		}
	}
	restored.launch()
	if got := restored.reasons(); got != "[]" {
		t.Errorf("restored, readyz tells %s", got)
	}
	restored.shutDown()

	// A file of a newer version ends the start, and stays as it is.
	s.shutDown()
	file := filepath.Join(s.data, "confirmed", "confirmed-00000000000000000099")
	sum := fmt.Sprintf("version 4 %08x\n", crc32.Checksum([]byte("version 4"), crc32.MakeTable(crc32.Castagnoli)))
	if err := os.WriteFile(file, []byte(sum), 0o600); err != nil {
		t.Fatal(err)
	}
	if s.launched() || !strings.Contains(s.output.String(), "written by a newer version") {
		t.Errorf("a newer file: %s", s.output)
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != sum {
		t.Errorf("it was changed: %s, %v", b, err)
	}
}

// A store without its manifest or its folder is refused as long as anything shows that there was
// one, and nothing is deleted.
func TestMissingStore(t *testing.T) {
	t.Parallel()
	for name, remove := range map[string]string{"manifest": "store/MANIFEST.json", "folder": "store", "queue alone": "store"} {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			s.post(numbered(0, 77))
			s.shutDown()
			removed := []string{remove}
			if name == "queue alone" {
				removed = append(removed, "clock", "tombstones")
			}
			away := t.TempDir()
			for _, name := range removed {
				if err := os.Rename(filepath.Join(s.data, name), filepath.Join(away, filepath.Base(name))); err != nil {
					t.Fatal(err)
				}
			}
			before := fileNames(t, filepath.Join(s.data, "store"))
			if name == "manifest" {
				if out := s.beside(1, "store", "verify"); !strings.Contains(out, "has segments, but no MANIFEST.json") {
					t.Errorf("eye store verify says %s", out)
				}
			}
			for range 2 {
				if s.launched() {
					t.Fatal("the server started")
				}
				if !strings.Contains(s.output.String(), "eye store recover") || !strings.Contains(s.output.String(), "nothing was changed") {
					t.Errorf("it says %s", s.output)
				}
			}
			for _, name := range before {
				if _, err := os.Stat(name); err != nil {
					t.Errorf("deleted: %v", err)
				}
			}
			for _, name := range removed {
				_ = os.RemoveAll(filepath.Join(s.data, name))
				if err := os.Rename(filepath.Join(away, filepath.Base(name)), filepath.Join(s.data, name)); err != nil {
					t.Fatal(err)
				}
			}
			s.launch()
			s.sums(77, 77, 0)
		})
	}
}

// keysAreCopied reports whether the copy of the metadata, with its log, has the keys of an
// application.
func (s *server) keysAreCopied() bool {
	s.t.Helper()
	files, err := filepath.Glob(filepath.Join(s.data, "metadata*"))
	if err != nil {
		s.t.Fatal(err)
	}
	var copied []byte
	for _, name := range files {
		if b, err := os.ReadFile(name); err == nil && !strings.HasSuffix(name, ".tmp") { // else it was replaced meanwhile
			copied = append(copied, b...)
		}
	}
	return strings.Contains(string(copied), `"kind":"write"`) && strings.Contains(string(copied), `"kind":"read"`)
}

// A store, a queue and a confirmed record that are gone together, as with a disk that is not
// mounted, are no first start either.
func TestAllFoldersAreMissing(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"killed", "ended"} {
		t.Run(how, func(t *testing.T) {
			s := start(t)
			s.post(numbered(0, 77))
			if how == "killed" {
				// What is new is in the copy of the metadata soon after its answer.
				s.eventually("the keys to be in the copy of the metadata", s.keysAreCopied)
				s.kill()
			} else {
				s.shutDown()
			}
			for _, name := range []string{"store", "queue", "confirmed"} {
				if err := os.RemoveAll(filepath.Join(s.data, name)); err != nil {
					t.Fatal(err)
				}
				if err := os.Mkdir(filepath.Join(s.data, name), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			if s.launched() {
				t.Fatal("the server started")
			}
			if out := s.output.String(); !strings.Contains(out, "the store in ") || !strings.Contains(out, "eye store recover --empty") {
				t.Errorf("it says %s", out)
			}
			if out := s.beside(0, "store", "recover", "--empty", "--yes"); how == "ended" && !strings.Contains(out, "done; start the server") {
				t.Errorf("it says %s", out)
			}
			s.launch()
			if got := s.reasons(); !strings.Contains(got, "events lost before this start") {
				t.Errorf("/readyz says %s", got)
			}
			s.post(numbered(100, 110))
		})
	}
}

// A store that begins empty without the confirmed record says that it cannot count.
func TestEmptyStoreWithoutARecord(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.post(numbered(0, 77))
	s.shutDown()
	for _, name := range []string{"store", "confirmed"} {
		if err := os.RemoveAll(filepath.Join(s.data, name)); err != nil {
			t.Fatal(err)
		}
	}
	if out := s.beside(0, "store", "recover", "--empty", "--yes"); !strings.Contains(out, "cannot count what is missing") {
		t.Errorf("it says %s", out)
	}
	s.launch()
	if got := s.reasons(); !strings.Contains(got, "events lost before this start cannot be counted") {
		t.Errorf("/readyz says %s", got)
	}
}

// The file running is not the only witness of a kill: without it damaged files of the queue are
// copied all the same.
func TestKillWithoutItsMark(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.framesOf(6)
	s.kill()
	if err := os.Remove(filepath.Join(s.data, "running")); err != nil {
		t.Fatal(err)
	}
	flipBit(t, s.blocks()[0], marked(t, s.blocks()[0], 3))
	s.launch()
	if copies, err := filepath.Glob(filepath.Join(s.data, "queue", "quarantine", "block-*")); err != nil || len(copies) != 1 {
		t.Errorf("copies: %v, %v", copies, err)
	}
}

func fileNames(t *testing.T, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			names = append(names, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// Damage to a block of metadata costs neither a key nor an application, after whichever end: they
// are made again from metadata.json. The embedded server must not look for ever for what its index
// says the block holds.
func TestDamagedMetadata(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*server){"killed": (*server).kill, "clean shutdown": (*server).shutDown} {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			a := s.call("POST", "/v1/apps/shop/keys", s.admin, `{"kind":"read"}`)
			s.must(a, 201)
			s.must(s.call("DELETE", "/v1/apps/shop/keys/"+a.text("key_id"), s.admin, ""), 204)
			s.shutDown()
			for record := range 6 {
				s.launch()
				end(s)
				block := s.metadataBlock()
				b, err := os.ReadFile(block)
				if err != nil {
					t.Fatal(err)
				}
				at := 0
				for range record {
					at += int(binaryform.LittleEndian.Uint32(b[at:]) &^ (1 << 31))
				}
				flipBit(t, block, int64(at+3)) // of the record's length
				s.launch()
				if !strings.Contains(s.output.String(), "a block of the queue does not verify") {
					t.Errorf("record %d: nothing tells it", record)
				}
				s.must(s.call("GET", "/v1/events", s.read, ""), 200)
				s.must(s.call("GET", "/v1/events", a.text("key"), ""), 401)
				s.must(s.call("GET", "/v1/events", s.key("shop", "read"), ""), 200)
				s.shutDown()
			}
		})
	}
}

// metadataBlock returns the first file of metadata in the queue.
func (s *server) metadataBlock() string {
	s.t.Helper()
	list, err := filepath.Glob(filepath.Join(s.data, "queue", "jetstream", "*", "streams", "KV_EYE_METADATA", "msgs", "*.blk"))
	if err != nil || len(list) == 0 {
		s.t.Fatal(list, err)
	}
	return list[0]
}

// A queue that is begun again has a timeline of its own, also when the start that begins it is
// killed at any time.
func TestLostQueueBeginsATimeline(t *testing.T) {
	t.Parallel()
	s := &server{t: t, tags: "eyefault", data: t.TempDir()}
	s.launch()
	s.must(s.call("POST", "/v1/apps", s.admin, `{"app":"shop"}`), 201)
	s.write, s.read = s.key("shop", "write"), s.key("shop", "read")
	s.framesOf(2)
	s.shutDown()
	if err := os.RemoveAll(filepath.Join(s.data, "queue")); err != nil {
		t.Fatal(err)
	}
	timelines := func() (n int) {
		var m struct {
			Manifest struct {
				Timelines []struct{} `json:"timelines"`
			} `json:"manifest"`
		}
		b, err := os.ReadFile(filepath.Join(s.data, "store", "MANIFEST.json"))
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(b, &m); err != nil {
			t.Fatal(err)
		}
		return len(m.Manifest.Timelines)
	}
	before := timelines()
	s.env = []string{"EYE_FAULT_KILL=before manifest:1"}
	if s.launched() {
		t.Fatal("the server was not killed")
	}
	s.env = nil
	s.launch()
	s.sums(2, 2, 0)
	if got := timelines(); got != before+1 {
		t.Errorf("there are %d earlier timelines, want %d", got, before+1)
	}
}

// A confirmed record that is empty, zero or cut back is told as one that is missing is, and once.
// Ends of every kind are quiet, and so is what a power cut leaves of the last second.
func TestDamagedRecordIsTold(t *testing.T) {
	t.Parallel()
	s := start(t)
	newest := func() string {
		t.Helper()
		files, err := filepath.Glob(filepath.Join(s.data, "confirmed", "confirmed-*"))
		if err != nil || len(files) == 0 {
			t.Fatal(files, err)
		}
		return files[len(files)-1]
	}
	quiet := func(when string) {
		t.Helper()
		s.launch()
		if got := s.reasons(); got != "[]" {
			t.Fatalf("%s, readyz tells %s", when, got)
		}
	}
	s.framesOf(6)
	s.kill()
	quiet("after a kill")
	s.framesOf(6)
	s.shutDown()
	quiet("after an ordered end")
	s.framesOf(6)
	s.kill()
	b, err := os.ReadFile(newest())
	if err != nil {
		t.Fatal(err)
	}
	clear(b[len(b)-25:]) // the last line, and the end of the one before
	if err := os.WriteFile(newest(), b, 0o600); err != nil {
		t.Fatal(err)
	}
	quiet("after a power cut")
	s.sums(18, 6, 0)

	for name, damage := range map[string]func(string) error{
		"empty": func(file string) error { return os.Truncate(file, 0) },
		"zero":  func(file string) error { b := make([]byte, 200); return os.WriteFile(file, b, 0o600) },
		"cut back": func(file string) error {
			b, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			at := bytes.Index(b, []byte("\nlast ")) + 1
			return os.Truncate(file, int64(at))
		},
	} {
		s.shutDown()
		files, err := filepath.Glob(filepath.Join(s.data, "confirmed", "confirmed-*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if err := damage(file); err != nil {
				t.Fatal(err)
			}
		}
		s.launch()
		if got := s.reasons(); !strings.Contains(got, "the confirmed record, "+filepath.Join(s.data, "confirmed")+", is ") {
			t.Errorf("%s: readyz tells %s", name, got)
		}
		if !strings.Contains(s.output.String(), `"level":"ERROR","msg":"the confirmed record is not reliable`) {
			t.Errorf("%s: no line of the log tells it", name)
		}
		s.kill()
		s.launch()
		if got := s.reasons(); strings.Count(got, "the confirmed record") != 1 {
			t.Errorf("%s, after a kill readyz tells %s", name, got)
		}
		s.shutDown()
		quiet("after an ordered end")
	}
	s.sums(18, 6, 0)
}

// A record that was moved away and comes back is another one by then: it is told, and nothing is
// counted by it, whether frames came in between or not.
func TestRecordThatWasPutBack(t *testing.T) {
	t.Parallel()
	for _, between := range []int{0, 3} {
		t.Run(fmt.Sprintf("%d frames between", between), func(t *testing.T) {
			s := start(t)
			s.framesOf(6)
			s.kill()
			dir, away := filepath.Join(s.data, "confirmed"), filepath.Join(t.TempDir(), "away")
			if err := os.Rename(dir, away); err != nil {
				t.Fatal(err)
			}
			flipBit(t, s.blocks()[0], marked(t, s.blocks()[0], 3))
			s.launch()
			if got := s.reasons(); !strings.Contains(got, "is missing") || strings.Contains(got, "put the folder back") {
				t.Errorf("readyz tells %s", got)
			}
			for i := range between {
				s.post(fmt.Sprintf(`{"id":"x%d","session_id":"s","category":"c","name":"n","data":{},"timestamp":"2021-01-01T00:00:00Z"}`, i))
			}
			s.shutDown()
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(away, dir); err != nil {
				t.Fatal(err)
			}
			s.launch()
			if got := s.reasons(); !strings.Contains(got, "is not the one that the store knows") || strings.Contains(got, "are lost") {
				t.Errorf("readyz tells %s", got)
			}
			s.sums(2+between, 2+between, 0)
			s.shutDown()
			s.launch()
			if got := s.reasons(); got != "[]" {
				t.Errorf("after an ordered end readyz tells %s", got)
			}
		})
	}
}
