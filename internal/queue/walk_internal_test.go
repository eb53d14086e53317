package queue

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"
)

// logged keeps the warnings of a logger.
type logged struct {
	slog.Handler

	text bytes.Buffer
}

func newLogged() *logged {
	l := &logged{}
	l.Handler = slog.NewTextHandler(&l.text, &slog.HandlerOptions{Level: slog.LevelWarn})
	return l
}

// written creates a queue's folder with six frames, in blocks of one frame or all in one block, and
// returns it and its blocks.
func written(t *testing.T, blockOfEach bool) (dir string, blocks []string) {
	t.Helper()
	dir = t.TempDir()
	q, err := Open(t.Context(), Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	random := rand.NewChaCha8([32]byte{})
	for i := range 6 {
		body := bytes.Repeat([]byte{byte('a' + i)}, 100)
		if blockOfEach { // that S2 cannot pack, and larger than half of a block
			body = make([]byte, 5<<20)
			_, _ = random.Read(body)
		}
		if _, err := q.Publish(t.Context(), Frame{Counts: []Count{{App: "shop", Received: 3}}, Body: body}); err != nil {
			t.Fatal(err)
		}
	}
	q.Close()
	return dir, blockFiles(t, dir, Stream)
}

func blockFiles(t *testing.T, dir, stream string) []string {
	t.Helper()
	blocks, err := filepath.Glob(filepath.Join(dir, "jetstream", "$G", "streams", stream, "msgs", "*.blk"))
	if err != nil || len(blocks) == 0 {
		t.Fatal(blocks, err)
	}
	slices.Sort(blocks)
	return blocks
}

// change replaces the content of a file.
func change(t *testing.T, name string, by func([]byte) []byte) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	b = by(b)
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return b
}

// quarantined returns the files in a queue's quarantine, by content.
func quarantined(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(dir, "quarantine"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, "quarantine", e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		files[string(b)] = e.Name()
	}
	return files
}

// offsets returns where the records of a block of frames begin.
func offsets(t *testing.T, b []byte) (list []int) {
	t.Helper()
	if err := newBlockReader(Stream, 2, nil).walk(b, func(at int, _ blockRecord) { list = append(list, at) }); err != nil {
		t.Fatal(err)
	}
	return list
}

// A block that does not verify is copied as a whole. One with a torn write is not, unless its last
// record was acknowledged.
func TestWalkCopiesDamage(t *testing.T) {
	last := func(b []byte) int { o := offsets(t, b); return o[len(o)-1] }
	for _, c := range []struct {
		name      string
		confirmed uint64
		damage    func(b []byte) []byte
		copied    bool
	}{
		{"sound", 6, func(b []byte) []byte { return b }, false},
		{"one bit of a payload", 6, func(b []byte) []byte { b[last(b)-40] ^= 1; return b }, true},
		{"one bit of the last record", 6, func(b []byte) []byte { b[len(b)-20] ^= 1; return b }, true},
		{"the length of the last record", 0, func(b []byte) []byte { b[last(b)+1] ^= 1; return b }, true},
		{"the length of the first record", 0, func(b []byte) []byte { b[2] ^= 1; return b }, true},
		{"a byte is missing", 6, func(b []byte) []byte { return slices.Delete(b, 300, 301) }, true},
		{"zeros in the middle", 6, func(b []byte) []byte { clear(b[200:400]); return b }, true},
		{"all is zero", 6, func(b []byte) []byte { clear(b); return b }, true},
		{"empty", 6, func(b []byte) []byte { return b[:0] }, false},
		{"the last record is torn", 5, func(b []byte) []byte { return b[:len(b)-30] }, false},
		{"the last record is torn in its head", 5, func(b []byte) []byte { return b[:last(b)+9] }, false},
		{"the last record is torn and was acknowledged", 6, func(b []byte) []byte { return b[:len(b)-30] }, true},
		{"the last record is torn and zeros follow", 5, func(b []byte) []byte { clear(b[len(b)-50:]); return b }, true},
		{"noise follows", 6, func(b []byte) []byte { return append(b, "no record has this beginning"...) }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, blocks := written(t, false)
			want := change(t, blocks[0], c.damage)
			for range 2 { // again adds nothing
				w := &walker{dir: dir, frames: true, quarantine: filepath.Join(dir, "quarantine"), confirmed: c.confirmed, log: slog.New(slog.DiscardHandler)}
				if err := w.walk(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			got := quarantined(t, dir)
			if name, copied := got[string(want)]; copied != c.copied || len(got) > 1 || copied && !strings.HasPrefix(name, "block-EYE_FRAMES-2-") {
				t.Errorf("in quarantine: %q", slices.Sorted(func(yield func(string) bool) {
					for _, name := range got {
						if !yield(name) {
							return
						}
					}
				}))
			}
			if is, err := os.ReadFile(blocks[0]); err != nil || !bytes.Equal(is, want) {
				t.Error("the block was changed", err)
			}
		})
	}
}

// An incomplete record in a block that is not the last one is damage.
func TestWalkCutInTheMiddle(t *testing.T) {
	dir, blocks := written(t, true)
	if len(blocks) < 3 {
		t.Fatalf("only the blocks %v", blocks)
	}
	want := change(t, blocks[1], func(b []byte) []byte { return b[:len(b)-30] })
	q, err := Open(t.Context(), Options{Dir: dir, Unclean: true})
	if err != nil {
		t.Fatal(err)
	}
	q.Close()
	if got := quarantined(t, dir); len(got) != 1 || got[string(want)] == "" {
		t.Errorf("%d files in quarantine", len(got))
	}
}

// After an unclean shutdown, what NATS cuts off when it opens a damaged block was copied before.
func TestOpenKeepsWhatTheServerCutsAway(t *testing.T) {
	dir, blocks := written(t, false)
	for _, index := range []string{"index.db"} { // with it the server does not read old records
		if err := os.Remove(filepath.Join(filepath.Dir(blocks[0]), index)); err != nil {
			t.Fatal(err)
		}
	}
	want := change(t, blocks[0], func(b []byte) []byte { b[offsets(t, b)[3]+60] ^= 1; return b })
	log := newLogged()
	q, err := Open(t.Context(), Options{Dir: dir, Unclean: true, Logger: slog.New(log)})
	if err != nil {
		t.Fatal(err)
	}
	state, err := q.State(t.Context())
	if err != nil || state.Last >= 6 {
		t.Fatalf("the server did not cut the block: %+v, %v", state, err)
	}
	q.Close()
	got := quarantined(t, dir)
	if got[string(want)] == "" || !strings.Contains(log.text.String(), got[string(want)]) {
		t.Errorf("%d files in quarantine; log:\n%s", len(got), &log.text)
	}
}

// The metadata is checked, too.
func TestWalkMetadata(t *testing.T) {
	dir := t.TempDir()
	q, err := Open(t.Context(), Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	kv, err := q.js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "EYE_METADATA"})
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"state", "app.1"} {
		if _, err := kv.Create(t.Context(), key, []byte(`{"app":"shop"}`)); err != nil {
			t.Fatal(err)
		}
	}
	q.Close()
	name := blockFiles(t, dir, "KV_EYE_METADATA")[0]
	want := change(t, name, func(b []byte) []byte { return b[:len(b)-3] }) // it may be torn: it is not known what was acknowledged
	q, err = Open(t.Context(), Options{Dir: dir, Unclean: true})
	if err != nil {
		t.Fatal(err)
	}
	q.Close()
	if got := quarantined(t, dir); !strings.HasPrefix(got[string(want)], "block-KV_EYE_METADATA-1-") {
		t.Errorf("in quarantine: %v", len(got))
	}
}

// A block of an unknown form is reported and copied, and never prevents a start.
func TestWalkUnknownForm(t *testing.T) {
	for name, change := range map[string]func(stream, block string) error{
		"encrypted":       func(stream, _ string) error { return os.WriteFile(filepath.Join(stream, "meta.key"), nil, 0o600) },
		"block encrypted": func(_, block string) error { return os.WriteFile(strings.TrimSuffix(block, "blk")+"key", nil, 0o600) },
		"compressed": func(_, block string) error {
			return os.WriteFile(block, []byte("cmp\x01\x20 and what s2 makes of records"), 0o600)
		},
		"stream compressed": func(stream, _ string) error {
			return os.WriteFile(filepath.Join(stream, "meta.inf"), []byte(`{"name":"EYE_FRAMES","compression":"s2"}`), 0o600)
		},
		"another name": func(stream, _ string) error {
			return os.WriteFile(filepath.Join(stream, "meta.inf"), []byte(`{"name":"OTHER"}`), 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir, blocks := written(t, false)
			if err := change(filepath.Dir(filepath.Dir(blocks[0])), blocks[0]); err != nil {
				t.Fatal(err)
			}
			want, err := os.ReadFile(blocks[0])
			if err != nil {
				t.Fatal(err)
			}
			for _, blocked := range []bool{false, true} {
				log := newLogged()
				w := &walker{dir: dir, frames: true, quarantine: filepath.Join(dir, "quarantine"), log: slog.New(log)}
				if blocked { // nor does a failure to copy it
					w.quarantine = blocks[0]
				}
				if err := w.walk(t.Context()); err != nil {
					t.Fatal(err)
				}
				if got := log.text.String(); strings.Count(got, "has an unknown form") != 1 {
					t.Errorf("log: %s", got)
				}
			}
			if got := quarantined(t, dir); len(got) != 1 || got[string(want)] == "" {
				t.Errorf("%d files in quarantine", len(got))
			}
		})
	}
}

// A damaged block that cannot be copied is not opened: NATS would destroy what is left.
func TestWalkRefusesWithoutACopy(t *testing.T) {
	dir, blocks := written(t, false)
	want := change(t, blocks[0], func(b []byte) []byte { b[len(b)-20] ^= 1; return b })
	if err := os.WriteFile(filepath.Join(dir, "quarantine"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), Options{Dir: dir, Unclean: true}); err == nil || !strings.Contains(err.Error(), "cannot be copied") {
		t.Fatal(err)
	}
	if is, err := os.ReadFile(blocks[0]); err != nil || !bytes.Equal(is, want) {
		t.Error("the block was changed", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Open(ctx, Options{Dir: dir, Unclean: true}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// badDisk cannot read one of its pages.
type badDisk struct {
	*bytes.Reader

	bad int64
	err error
}

func (d badDisk) ReadAt(b []byte, at int64) (int, error) {
	if at <= d.bad && d.bad < at+int64(len(b)) {
		return 0, d.err
	}
	return d.Reader.ReadAt(b, at)
}

// The parts of a block that its disk can still read are kept.
func TestWalkBadDisk(t *testing.T) {
	content := bytes.Repeat([]byte("x"), 3*walkPage+100)
	want := bytes.Clone(content)
	clear(want[walkPage : 2*walkPage])
	d := badDisk{bytes.NewReader(content), walkPage + 5, syscall.EIO}
	got, err := readAround(d, int64(len(content)))
	if diff := cmp.Diff(want, got); diff != "" || !errors.Is(err, errUnreadable) {
		t.Error(err, diff)
	}
	d.err = io.ErrClosedPipe
	if _, err := readAround(d, int64(len(content))); !errors.Is(err, io.ErrClosedPipe) {
		t.Error(err)
	}
}

// A missing or damaged description is rewritten, whatever the store has flushed, and the stream
// loses nothing.
func TestDescriptionIsWrittenAgain(t *testing.T) {
	for _, file := range []string{"meta.inf", "meta.sum"} {
		for way, by := range map[string]func([]byte) []byte{
			"missing": nil,
			"empty":   func([]byte) []byte { return nil },
			"flipped": func(b []byte) []byte { b[len(b)/2] ^= 4; return b },
			"cut":     func(b []byte) []byte { return b[:len(b)-1] },
		} {
			t.Run(file+" "+way, func(t *testing.T) {
				dir, blocks := written(t, true)
				name := filepath.Join(filepath.Dir(filepath.Dir(blocks[0])), file)
				left := []byte(nil)
				if by == nil {
					if err := os.Remove(name); err != nil {
						t.Fatal(err)
					}
				} else if left = change(t, name, by); file == "meta.sum" {
					left = nil
				}
				q, err := Open(t.Context(), Options{Dir: dir, FirstSequence: 4})
				if err != nil {
					t.Fatal(err)
				}
				state, err := q.State(t.Context())
				if err != nil || state.First != 1 || state.Last != 6 || state.Frames != 6 {
					t.Errorf("it holds %+v, %v", state, err)
				}
				q.Close()
				if kept := quarantined(t, dir); left != nil && kept[string(left)] == "" {
					t.Errorf("kept are %v", slices.Collect(maps.Values(kept)))
				}
				if damage, err := descriptionDamage(filepath.Dir(name)); damage != "" || err != nil {
					t.Errorf("after that %q, %v", damage, err)
				}
			})
		}
	}
}

// A server that is killed while it creates the stream leaves an empty block, for which the linked
// server reports the first sequence 0.
func TestStreamThatHasJustBegun(t *testing.T) {
	dir := t.TempDir()
	opts := Options{Dir: filepath.Join(dir, "queue"), ConfirmedDir: filepath.Join(dir, "confirmed")}
	for range 2 {
		q, err := Open(t.Context(), opts)
		if err != nil {
			t.Fatal(err)
		}
		if err := q.Reconcile(t.Context(), 0, nil); err != nil {
			t.Error(err)
		}
		if state, err := q.State(t.Context()); err != nil || state.First != 1 || state.Last != 0 || q.LastConfirmed() != 0 {
			t.Errorf("the stream has %+v, %v, and %d is confirmed", state, err, q.LastConfirmed())
		}
		q.Close()
		stream := filepath.Join(opts.Dir, "jetstream", "$G", "streams", Stream)
		for _, file := range []string{filepath.Join(stream, "meta.sum"), filepath.Join(stream, "msgs"), opts.ConfirmedDir} {
			if err := os.RemoveAll(file); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(os.Mkdir(filepath.Join(stream, "msgs"), 0o700), os.WriteFile(filepath.Join(stream, "msgs", "1.blk"), nil, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
}

// Before a stream of frames is deleted, or created over blocks that the server does not open, its
// blocks are quarantined, where Rescue finds all frames.
func TestBlocksAreKept(t *testing.T) {
	for name, before := range map[string]func(dir string) error{
		"older than the store": func(string) error { return nil },
		"no JSON": func(dir string) error {
			return errors.Join(os.WriteFile(filepath.Join(dir, "meta.inf"), []byte("["), 0o600), os.WriteFile(filepath.Join(dir, "meta.sum"), descriptionSum(Stream, []byte("[")), 0o600))
		},
		"encrypted": func(dir string) error {
			return errors.Join(os.Remove(filepath.Join(dir, "meta.sum")), os.WriteFile(filepath.Join(dir, "meta.key"), []byte("key"), 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir, blocks := written(t, false)
			want, err := os.ReadFile(blocks[0])
			if err == nil {
				err = before(filepath.Dir(filepath.Dir(blocks[0])))
			}
			if err != nil {
				t.Fatal(err)
			}
			q, err := Open(t.Context(), Options{Dir: dir, FirstSequence: 100})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := q.Publish(t.Context(), Frame{Body: []byte("later")}); err != nil {
				t.Error(err)
			}
			state, err := q.State(t.Context())
			if err != nil || state.First != 100 || state.Last != 100 {
				t.Errorf("it holds %+v, %v", state, err)
			}
			q.Close()
			kept, found := quarantined(t, dir)[string(want)], 0
			damaged, err := Rescue(kept, want, func(Rescued) error { found++; return nil })
			if damaged != 0 || found != 6 || err != nil {
				t.Errorf("of %q are rescued %d frames, %d damaged, %v", kept, found, damaged, err)
			}
		})
	}
}

// A record that does not verify does not affect the others of its block.
func TestSoundRecords(t *testing.T) {
	_, blocks := written(t, false)
	whole, err := os.ReadFile(blocks[0])
	if err != nil {
		t.Fatal(err)
	}
	index, err := strconv.ParseUint(strings.TrimSuffix(filepath.Base(blocks[0]), ".blk"), 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	r := newBlockReader(Stream, uint32(index), []string{subject})
	var ends []int
	if err := r.walk(whole, func(at int, x blockRecord) { ends = append(ends, at+x.size) }); err != nil {
		t.Fatal(err)
	}
	begin := 0
	for i, end := range ends {
		for at := begin; at < end; at++ {
			b := bytes.Clone(whole)
			b[at] ^= 4
			if got := r.intact(b); !bytes.Equal(got, slices.Concat(whole[:begin], whole[end:])) {
				t.Fatalf("with byte %d of record %d changed %d bytes are left", at-begin, i, len(got))
			}
		}
		begin = end
	}
	if got := r.intact(whole); !bytes.Equal(got, whole) {
		t.Error("a whole block changes")
	}
}
