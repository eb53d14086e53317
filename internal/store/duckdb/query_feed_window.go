package duckdb

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"theeye/internal/store"
)

// Rows of a segment are sorted by slice and session, so a page of the feed would read a whole
// segment. A feed window is a copy of the rows that a range of frames carried, sorted by the feed's
// order, in a file that all readers of the feed share.
const (
	// maxFeedWindows is how many windows are kept; the one that was unused longest makes room.
	maxFeedWindows = 2
	// feedWindowRows is about how many rows a window has. It has more when one frame carried more.
	feedWindowRows = 250_000
	// feedWindowBytes bounds a window by what its rows take in their segments, in bytes.
	feedWindowBytes = 32 << 20
	// feedWindowTries bounds the search for a range of frames with the right number of rows.
	feedWindowTries = 8
	// feedWindowGroup is how many rows of a window are read together, in which a page begins.
	feedWindowGroup = 8192
	feedConns       = 8
	// feedWindowTime bounds the making of a window, whoever waits for it. It is less than
	// obsoleteTimeout, because an erasure waits for the segments that a window is made of.
	feedWindowTime = 20 * time.Second
	// feedWindowAge is how long a window is kept that is not used.
	feedWindowAge = 10 * time.Minute
)

// feedWindow is a window that is attached to the instance of the windows.
type feedWindow struct {
	name        string
	path        string
	in          *instance
	first, last uint64     // the frames whose rows it has
	from        []*segment // whose rows of these frames it has
	largest     map[string]int64
	empty       map[string]bool
	readers     int       // guarded by feedWindows.mu
	used        time.Time // guarded by feedWindows.mu
	retired     bool      // nobody may read it any more; guarded by feedWindows.mu
}

// remove deletes the files of a window, which nothing has open any more.
func (w *feedWindow) remove() error {
	err := os.Remove(w.path)
	if log := os.Remove(w.path + ".wal"); !errors.Is(log, fs.ErrNotExist) {
		err = errors.Join(err, log)
	}
	return err
}

func (w *feedWindow) rows(table string) string { return w.name + "." + table }

// feedWindows are the windows of a store. They have a background instance of their own.
type feedWindows struct {
	store      *Store
	background *background
	building   chan struct{} // holds a token while no window is being built; guards background and number
	number     int           // of the newest window
	making     sync.WaitGroup

	mu      sync.Mutex // guards what follows
	windows []*feedWindow
	idle    chan struct{} // closed and replaced when a window has lost its last reader
	cancel  context.CancelCauseFunc
}

func newFeedWindows(s *Store) *feedWindows {
	w := &feedWindows{store: s, building: make(chan struct{}, 1), idle: make(chan struct{}), background: &background{store: s, limits: limits{
		memory: min(exportMemory, s.opts.MemoryLimit/backgroundPart), threads: 1, conns: feedConns,
		dirs:    []string{s.segmentDir(), s.exportDir()},
		tempDir: filepath.Join(s.opts.TempDir, "feed"), encrypt: true, ordered: true,
	}}}
	w.building <- struct{}{}
	return w
}

// overlapping returns the segments that may have rows of a range of frames.
func (p *pinned) overlapping(first, last uint64) (list []*segment) {
	for _, seg := range p.tables.segments {
		if seg.info.Carried.overlaps(int64(first), int64(last)) {
			list = append(list, seg)
		}
	}
	return list
}

// serves reports whether a window may be read for a frame.
func (w *feedWindow) serves(p *pinned, frame uint64) bool {
	return !w.retired && w.first <= frame && frame <= w.last && w.isCurrent(p)
}

// isCurrent reports whether a window has everything that a version has of its frames.
func (w *feedWindow) isCurrent(p *pinned) bool {
	return slices.Equal(w.from, p.overlapping(w.first, w.last))
}

// acquire returns a window that begins at a flushed frame or has it, and makes one if there is
// none. The caller must release it. When ctx ends first, the window is made nevertheless, for those
// who try again.
func (f *feedWindows) acquire(ctx context.Context, p *pinned, frame uint64) (w *feedWindow, release func(), err error) {
	if w := f.find(p, frame); w != nil {
		return w, func() { f.release(w) }, nil
	}
	select {
	case <-f.building:
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	if w := f.find(p, frame); w != nil { // somebody has made it meanwhile
		f.building <- struct{}{}
		return w, func() { f.release(w) }, nil
	}
	made, failed := make(chan *feedWindow), make(chan error, 1)
	again := p.again()
	making, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	f.mu.Lock()
	f.cancel = cancel
	f.mu.Unlock()
	f.making.Go(func() {
		defer func() { f.building <- struct{}{} }()
		defer again.release()
		defer cancel(nil)
		w, err := f.make(making, again, frame)
		if err != nil {
			failed <- err
			return
		}
		select {
		case made <- w:
		case <-ctx.Done():
			f.release(w)
		}
	})
	select {
	case w := <-made:
		return w, func() { f.release(w) }, nil
	case err := <-failed:
		return nil, nil, err
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
}

// find returns a window that serves a frame, with one more reader; nil if there is none.
func (f *feedWindows) find(p *pinned, frame uint64) *feedWindow {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := slices.IndexFunc(f.windows, func(w *feedWindow) bool { return w.serves(p, frame) })
	if i < 0 {
		return nil
	}
	w := f.windows[i]
	f.windows = append(slices.Delete(f.windows, i, i+1), w) // the one used last is last
	w.readers++
	w.used = time.Now()
	return w
}

func (f *feedWindows) release(w *feedWindow) {
	f.mu.Lock()
	defer f.mu.Unlock()
	w.used = time.Now()
	if w.readers--; w.readers == 0 {
		close(f.idle)
		f.idle = make(chan struct{})
	}
}

// make makes a window that begins at a frame, with one reader. The caller must hold the
// token of f.building.
func (f *feedWindows) make(ctx context.Context, p *pinned, frame uint64) (_ *feedWindow, err error) {
	ctx, cancel := context.WithTimeout(ctx, feedWindowTime)
	defer cancel()
	defer func() {
		if cause := context.Cause(ctx); err != nil && errors.Is(cause, errFeedEnded) {
			err = cause
		}
	}()
	last, err := f.choose(ctx, p, frame)
	if err != nil {
		return nil, err
	}
	if err := f.discard(ctx, maxFeedWindows-1, func(w *feedWindow) bool { return !w.isCurrent(p) }); err != nil {
		return nil, err
	}
	f.number++
	w := &feedWindow{
		name: "feed" + strconv.Itoa(f.number), path: filepath.Join(f.store.exportDir(), fmt.Sprintf("feed-%d.duckdb", f.number)),
		first: frame, last: last, from: p.overlapping(frame, last), largest: map[string]int64{}, empty: map[string]bool{}, readers: 1, used: time.Now(),
	}
	if err := f.fill(ctx, p, w); err != nil {
		return nil, f.failed(ctx, w, err)
	}
	if err := f.background.end(w.from, false); err != nil {
		return nil, f.failed(ctx, w, err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.windows = append(f.windows, w)
	return w, nil
}

// failed removes a window that could not be made. The state of the instance is not known after
// that, so it removes all windows and closes the instance. The caller must hold the
// token of f.building.
func (f *feedWindows) failed(ctx context.Context, w *feedWindow, err error) error {
	whole := context.WithoutCancel(ctx) // readers of other windows end soon
	_ = f.discard(whole, 0, func(*feedWindow) bool { return true })
	if e := errors.Join(f.background.end(w.from, true), f.forget()); e != nil {
		f.store.log.Error("what the feed took was not given back", "error", e)
	}
	_ = w.remove()
	return storeError(ctx, "make a window of the feed", err)
}

// fill writes the rows of a window.
func (f *feedWindows) fill(ctx context.Context, p *pinned, w *feedWindow) (err error) {
	refs := refsTo(w.from)
	for _, table := range []string{eventTable, rejectionTable} {
		if w.largest[table], err = p.largest(ctx, table, refs); err != nil {
			return err
		}
	}
	if w.in, err = f.background.begin(ctx, w.from); err != nil {
		return err
	}
	if err := w.in.exec(ctx, fmt.Sprintf("ATTACH %s AS %s (ROW_GROUP_SIZE %d)", quoted(w.path), w.name, feedWindowGroup)); err != nil {
		return err
	}
	for _, table := range []string{eventTable, rejectionTable} {
		if err := w.in.exec(ctx, fmt.Sprintf("CREATE TABLE %s AS SELECT %s FROM %s WHERE carried_by BETWEEN %d AND %d ORDER BY %s",
			w.rows(table), columnsOf(table), union(table, nil, refs), w.first, w.last, feedOrder)); err != nil {
			return err
		}
		rows := w.in.db.QueryRowContext(ctx, "SELECT count(*) FROM "+w.rows(table)) //nolint:gosec // a name of ours
		var n int64
		if err := rows.Scan(&n); err != nil {
			return err
		}
		w.empty[table] = n == 0
	}
	return w.in.exec(ctx, "CHECKPOINT "+w.name)
}

// choose returns the last frame of a window that begins at a frame: one with about feedWindowRows
// rows between them.
func (f *feedWindows) choose(ctx context.Context, p *pinned, first uint64) (last uint64, err error) {
	end := p.manifest.Flushed
	segments := p.overlapping(first, end)
	var rows, bytes int64
	for _, seg := range segments {
		rows += seg.info.Rows.Events + seg.info.Rows.Rejections + seg.info.Rows.Traces
		bytes += seg.info.Data.Bytes
	}
	most := max(1, min(feedWindowRows, feedWindowBytes*rows/max(bytes, 1)))
	last = first
	if perFrame := density(segments, first); perFrame > 0 {
		last = min(end, first+uint64(float64(most)/perFrame))
	}
	for range feedWindowTries {
		n, err := f.count(ctx, p, first, last)
		if err != nil {
			return 0, err
		}
		switch frames := last - first + 1; {
		case n > 2*most && frames > 1:
			last = first + uint64(float64(frames)*float64(most)/float64(n))
			last = min(last, first+frames-2)
		case n < most/2 && last < end:
			last = min(end, first+uint64(float64(frames)*min(16, float64(most)/float64(max(n, 1)))))
		default:
			return last, nil
		}
	}
	return last, nil
}

// density returns about how many rows a frame has.
func density(segments []*segment, first uint64) (rows float64) {
	for _, seg := range segments {
		if low, high := *seg.info.Carried.Min, *seg.info.Carried.Max; uint64(low) <= first {
			rows += float64(seg.info.Rows.Events+seg.info.Rows.Rejections) / float64(high-low+1)
		}
	}
	return rows
}

// count counts the rows of a range of frames.
func (f *feedWindows) count(ctx context.Context, p *pinned, first, last uint64) (n int64, err error) {
	segments := p.overlapping(first, last)
	if segments == nil {
		return 0, nil
	}
	rows := rowsOf(segments)
	for _, table := range []string{eventTable, rejectionTable} {
		some, err := f.store.queryInt(ctx, newBuilder().build("feed", fmt.Sprintf(
			"SELECT count(*) FROM %s WHERE carried_by BETWEEN %d AND %d", rows(table), first, last)))
		if err != nil {
			return 0, err
		}
		n += some
	}
	return n, nil
}

// discard removes windows for which stale is true, and the ones unused longest until at most keep
// are left. It waits for their readers. The caller must hold the
// token of f.building.
func (f *feedWindows) discard(ctx context.Context, keep int, stale func(*feedWindow) bool) error {
	f.mu.Lock()
	var out []*feedWindow
	for i, w := range f.windows {
		if w.retired = w.retired || stale(w) || i < len(f.windows)-keep; w.retired {
			out = append(out, w)
		}
	}
	f.mu.Unlock()
	for _, w := range out {
		if err := f.awaitReaders(ctx, w); err != nil {
			return err
		}
		err := w.in.exec(context.WithoutCancel(ctx), "DETACH "+w.name)
		if err = errors.Join(err, w.remove()); err != nil {
			return storeError(ctx, "remove a window of the feed", err)
		}
		f.mu.Lock()
		f.windows = slices.DeleteFunc(f.windows, func(x *feedWindow) bool { return x == w })
		f.mu.Unlock()
	}
	return nil
}

func (f *feedWindows) awaitReaders(ctx context.Context, w *feedWindow) error {
	for {
		f.mu.Lock()
		readers, idle := w.readers, f.idle
		f.mu.Unlock()
		if readers == 0 {
			return nil
		}
		select {
		case <-idle:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// forget removes all windows after the instance has been closed. The caller must hold the
// token of f.building.
func (f *feedWindows) forget() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var err error
	for _, w := range f.windows {
		w.retired = true
		err = errors.Join(err, w.remove())
	}
	f.windows = nil
	return err
}

// errFeedEnded ends the making of a window because something was erased.
var errFeedEnded = fmt.Errorf("%w: the feed is read again after an erasure", store.ErrUnavailable)

// end removes all windows, and ends the making of one. It returns when no file is left.
func (f *feedWindows) end(ctx context.Context) error {
	f.mu.Lock()
	if f.cancel != nil {
		f.cancel(errFeedEnded)
	}
	f.mu.Unlock()
	select {
	case <-f.building:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { f.building <- struct{}{} }()
	return f.discard(ctx, 0, func(*feedWindow) bool { return true })
}

// trim removes windows that have been unused for feedWindowAge, and those whose rows may have been
// removed since. It does nothing while a window is being made, which does the same.
func (f *feedWindows) trim(ctx context.Context) error {
	select {
	case <-f.building:
	default:
		return nil
	}
	defer func() { f.building <- struct{}{} }()
	p := f.store.pin()
	defer p.release()
	return f.discard(ctx, maxFeedWindows, func(w *feedWindow) bool {
		return !w.isCurrent(p) || time.Since(w.used) > feedWindowAge
	})
}

// stop ends the making of a window, and waits for it. Nobody may acquire one from then on.
func (f *feedWindows) stop() {
	f.mu.Lock()
	if f.cancel != nil {
		f.cancel(nil)
	}
	f.mu.Unlock()
	f.making.Wait()
}

// close releases everything. Nothing uses the windows any more.
func (f *feedWindows) close() error {
	return errors.Join(f.background.close(), f.forget())
}
