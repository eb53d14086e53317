package duckdb_test

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"theeye/internal/durable"
	"theeye/internal/erasure"
	"theeye/internal/event"
	"theeye/internal/store"
	"theeye/internal/store/duckdb"
)

// backup is a copy of a store, with the frames that were acknowledged until then, and what was true
// then.
type backup struct {
	dir      string
	frames   []store.Batch
	stored   map[uuid.UUID]*event.Event
	refused  map[uuid.UUID]*event.Rejection
	erased   map[[2]string][]eraseTarget
	gone     map[uuid.UUID][]departure
	through  map[event.Position]uint64
	timeline int
	ended    map[int]uint64
}

// newDir returns the path of a folder for another store.
func (l *life) newDir(kind string) string {
	l.dirs++
	return filepath.Join(filepath.Dir(l.opts.Dir), fmt.Sprint(kind, l.dirs))
}

// backup copies the store as the server does: the files of a lease, and then the tombstones.
func (l *life) backup() {
	if rapid.Bool().Draw(l.T, "flushed before") {
		l.flush()
	}
	b := backup{
		dir: l.newDir("backup"), frames: slices.Clone(l.frames), timeline: l.timeline, ended: maps.Clone(l.ended),
		stored: maps.Clone(l.stored), refused: maps.Clone(l.refused), erased: maps.Clone(l.erased), gone: maps.Clone(l.gone), through: maps.Clone(l.through),
	}
	lease, err := l.store.Lease(l.Context())
	l.do(err)
	defer l.store.EndLease(lease.ID)
	l.do(os.MkdirAll(filepath.Join(b.dir, "segments"), 0o700))
	l.do(os.WriteFile(filepath.Join(b.dir, "MANIFEST.json"), lease.Manifest, 0o600))
	for _, f := range lease.Files {
		r, err := l.store.ReadSegmentFile(lease.ID, f.Name)
		l.do(err)
		content, err := io.ReadAll(r)
		l.do(errors.Join(err, r.Close()))
		l.do(os.WriteFile(filepath.Join(b.dir, "segments", f.Name), content, 0o600))
	}
	tombstones, err := durable.ReadFile(l.tombstones())
	if !errors.Is(err, os.ErrNotExist) {
		l.do(err)
		l.do(os.WriteFile(filepath.Join(b.dir, "tombstones"), tombstones, 0o600))
	}
	l.backups = append(l.backups, b)
}

func (l *life) tombstones() string { return filepath.Join(l.opts.Dir, "tombstones") }

// restore goes on with a copy of a backup, and with the erasures since then, if they are given and
// belong to it. What happened to the store since then has not happened.
func (l *life) restore() {
	if len(l.backups) == 0 {
		return
	}
	b := l.backups[rapid.IntRange(0, len(l.backups)-1).Draw(l.T, "backup")]
	l.close()
	dir := l.newDir("restored")
	l.do(os.CopyFS(dir, os.DirFS(b.dir)))
	before := *l
	l.opts.Dir, l.frames, l.timeline, l.ended = dir, slices.Clone(b.frames), b.timeline, maps.Clone(b.ended)
	l.stored, l.refused, l.erased = maps.Clone(b.stored), maps.Clone(b.refused), maps.Clone(b.erased)
	l.gone, l.through = maps.Clone(b.gone), maps.Clone(b.through)
	if rapid.Bool().Draw(l.T, "with the erasures since") && l.addTombstones(before.tombstones()) {
		for key, list := range before.erased {
			for _, tg := range list {
				if !slices.Contains(l.erased[key], tg) {
					l.erased[key] = append(slices.Clip(l.erased[key]), tg)
				}
			}
		}
	}
	l.ended[l.timeline] = uint64(len(l.frames))
	l.timelines++
	l.timeline = l.timelines
	l.do(duckdb.BeginTimeline(dir, l.tombstones(), uint64(len(l.frames))))
	l.open()
	l.catchUp()
	l.finishErasures()
}

// addTombstones adds the tombstones of a file. It reports false for a file that does not go with the
// backup: `eye restore` refuses it.
func (l *life) addTombstones(path string) bool {
	given, err := erasure.Read(path, erasure.Digest{})
	l.do(err)
	log, err := erasure.OpenLog(l.tombstones(), erasure.Digest{})
	l.do(err)
	own := log.Document()
	if len(given.Tombstones) == 0 || len(given.Missing(own)) > 0 {
		return false
	}
	err = log.Add(given, uint64(len(l.frames)))
	if errors.Is(err, erasure.ErrOtherKey) {
		return false
	}
	l.do(err)
	return true
}
