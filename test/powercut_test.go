package test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"
)

// powerCuts is how often the power is cut, or EYE_TEST_CUTS.
const powerCuts = 3

// What linux/fs/ext4/ext4.h names: the file system stops at once, and writes its
// journal no more.
const (
	ext4Shutdown = 0x8004587d // _IOR('X', 125, __u32)
	noLogFlush   = 2          // EXT4_GOING_FLAGS_NOLOGFLUSH
)

// journaled is an ext4 file system in a file, whose power can be cut.
type journaled struct {
	t          *testing.T
	image, dir string
}

// newJournaled makes one and mounts it, which takes root and a loop device. Without
// them the test is skipped on a developer's machine, and fails where CI is set.
func newJournaled(t *testing.T) *journaled {
	t.Helper()
	d := &journaled{t: t, image: filepath.Join(t.TempDir(), "image"), dir: t.TempDir()}
	err := os.WriteFile(d.image, nil, 0o600)
	if err == nil {
		err = os.Truncate(d.image, 1<<30)
	}
	if err == nil {
		err = tool("mkfs.ext4", "-q", "-F", d.image)
	}
	if err == nil {
		err = d.mount()
	}
	if err != nil {
		if os.Getenv("CI") == "" {
			t.Skip("an ext4 file system cannot be mounted, which takes root, a loop device and e2fsprogs: ", err)
		}
		t.Fatal("mount an ext4 file system: ", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(d.dir, unix.MNT_DETACH) })
	return d
}

func tool(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, bytes.TrimSpace(out))
	}
	return nil
}

func (d *journaled) mount() error { return tool("mount", "-o", "loop", d.image, d.dir) }

// cut cuts the power: nothing is written any more, whoever writes.
func (d *journaled) cut() {
	d.t.Helper()
	f, err := os.Open(d.dir)
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	if err := unix.IoctlSetPointerInt(int(f.Fd()), ext4Shutdown, noLogFlush); err != nil {
		d.t.Fatal("FS_IOC_SHUTDOWN: ", err)
	}
}

// restore gives the power back: what is on disk is mounted, and its journal replayed.
// Nobody may have a file open.
func (d *journaled) restore() {
	d.t.Helper()
	if err := unix.Unmount(d.dir, 0); err != nil {
		d.t.Fatal("unmount: ", err)
	}
	if err := d.mount(); err != nil {
		d.t.Fatal(err)
	}
}

// What was acknowledged before the power was cut is there, once (P1). An answer that
// comes later promises nothing: see TestFsyncDuringAPowerCut.
func TestNothingAcknowledgedIsLostToAPowerCut(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 99))
	disk := newJournaled(t)
	s := startIn(t, filepath.Join(disk.dir, "data"), "--flush-rows", "2000")
	l := &ledger{entries: map[uuid.UUID]*entry{}}
	open := make([][]batch, crashSenders)
	cuts := fromEnv(t, "EYE_TEST_CUTS", powerCuts)
	for range cuts {
		at := l.acked.Load() + 1 + r.Int64N(8000)
		done := make(chan struct{})
		go func() {
			defer close(done)
			l.round(s, r.Uint64(), at+1_000_000, open)
		}()
		s.eventually("the moment of the cut", func() bool { return l.acked.Load() >= at })
		l.late.Store(true)
		disk.cut()
		s.kill()
		<-done
		disk.restore()
		l.late.Store(false)
		s.launch()
		if got := s.reasons(); strings.Contains(got, "confirmed record") {
			t.Errorf("after a power cut readyz tells %s", got)
		}
	}
	l.round(s, r.Uint64(), l.acked.Load()+1000, open)
	l.find(s)
	l.check(s, cuts)
	s.shutDown()
	if code, out := runEye(t, nil, "store", "verify", "--data", s.data); code != 0 {
		t.Errorf("store verify ended with %d:\n%s", code, out)
	}
}

// The control: what a program that only writes and syncs finds after a cut. A sync
// that had returned before the cut began was durable. One that returns while the cut
// is being made says so too, and sometimes nothing of it is there: this is why such
// answers are not counted above.
func TestFsyncDuringAPowerCut(t *testing.T) {
	t.Parallel()
	const writers, recordBytes = 4, 512
	disk := newJournaled(t)
	r := rand.New(rand.NewPCG(rand.Uint64(), 1))
	lateSyncs, lateLost := 0, 0
	for cut := range fromEnv(t, "EYE_TEST_CUTS", powerCuts) {
		var late atomic.Bool
		var synced atomic.Int64
		var before, all [writers]int // records whose sync returned before the cut began, and at all
		name := func(w int) string { return filepath.Join(disk.dir, fmt.Sprint(cut, "-", w)) }
		var running sync.WaitGroup
		for w := range writers {
			f, err := os.Create(name(w))
			if err != nil {
				t.Fatal(err)
			}
			running.Go(func() {
				defer f.Close()
				for n := 0; ; n++ {
					record := bytes.Repeat([]byte{byte(n%255 + 1)}, recordBytes)
					if _, err := f.Write(record); err != nil {
						return
					}
					if f.Sync() != nil {
						return
					}
					all[w]++
					if !late.Load() {
						before[w]++
						synced.Add(1)
					}
				}
			})
		}
		at := 50 + r.Int64N(500)
		(&server{t: t, output: &safeBuffer{}}).eventually("the moment of the cut", func() bool { return synced.Load() >= at })
		late.Store(true)
		disk.cut()
		running.Wait()
		disk.restore()
		for w := range writers {
			b, err := os.ReadFile(name(w))
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
			found := 0
			for found < len(b)/recordBytes && bytes.Count(b[found*recordBytes:(found+1)*recordBytes], []byte{byte(found%255 + 1)}) == recordBytes {
				found++
			}
			if found < before[w] {
				t.Errorf("cut %d: %d records were synced before it, and %d are there", cut, before[w], found)
			}
			lateSyncs += all[w] - before[w]
			lateLost += max(0, all[w]-max(found, before[w]))
		}
	}
	t.Logf("%d syncs returned without an error after a cut had begun; %d of these records are not there", lateSyncs, lateLost)
}
