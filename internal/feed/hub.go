package feed

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"theeye/internal/erasure"
	"theeye/internal/progress"
	"theeye/internal/query"
	"theeye/internal/store"
	"theeye/internal/wait"
)

const (
	// MaxListeners bounds the tails and the long polls of a node, together.
	MaxListeners = 256
	// ringBytes bounds the items that are kept for listeners, in bytes. Their JSON, which is made
	// when a listener first needs it, takes about as much again.
	ringBytes = 8 << 20
	// pageItems and pageBytes bound what is read of the store at a time.
	pageItems = 5000
	pageBytes = 4 << 20
	// coalesce is how long new items are collected before listeners are woken.
	coalesce = 20 * time.Millisecond
	// lookAgain is how long the hub waits for another frame before it looks for erasures.
	lookAgain = time.Second
	// retryAfter is how long the hub waits after the store has failed to answer.
	retryAfter = time.Second
)

// ErrFull is returned when MaxListeners listen already.
var ErrFull = errors.New("too many tails and waiting feeds are open")

// ErrMoved is the end of a listener whose timeline has ended.
var ErrMoved = errors.New("the feed goes on with another timeline")

// ErrEnded is the end of all listeners when the server stops.
var ErrEnded = errors.New("the server is stopping")

// Item is an item of the feed that listeners share. It must not be changed.
type Item struct {
	store.FeedItem
	Position string // its text
	encoded  func() ([]byte, error)
	erased   atomic.Bool
}

// IsErased reports whether the item has been erased since the listener got it. It must not be sent.
func (i *Item) IsErased() bool { return i.erased.Load() }

// JSON returns the item's JSON, which is encoded once.
func (i *Item) JSON() ([]byte, error) { return i.encoded() }

// Hub keeps the newest items of the feed for those who listen. It reads them from the store once,
// and only while somebody listens. Its methods may be called concurrently.
type Hub struct {
	reader   store.Reader
	progress *progress.Tracker
	erasures func() *erasure.Set
	encode   func(*store.FeedItem) ([]byte, error)
	log      *slog.Logger
	missed   prometheus.Counter
	active   prometheus.Gauge

	mu        sync.Mutex // guards what follows
	listeners int
	stop      context.CancelFunc // ends the reading; nil while nobody listens
	ready     chan struct{}      // closed when the place where the ring begins is known
	ring      ring
	erased    int           // tombstones that were applied to the ring
	moved     chan struct{} // closed and replaced when the ring has changed
	err       error         // why the hub has stopped reading
	ended     bool
}

// Options of a Hub.
type Options struct {
	Reader   store.Reader
	Progress *progress.Tracker
	// Erasures returns the tombstones of the store.
	Erasures func() *erasure.Set
	// Encode returns the JSON of an item as listeners send it.
	Encode     func(*store.FeedItem) ([]byte, error)
	Logger     *slog.Logger
	Registerer prometheus.Registerer // may be nil
}

// NewHub returns a hub that reads nothing yet.
func NewHub(opts Options) *Hub {
	h := &Hub{
		reader: opts.Reader, progress: opts.Progress, erasures: opts.Erasures, encode: opts.Encode, log: opts.Logger,
		moved: make(chan struct{}),
		active: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "eye_feed_listeners", Help: "Tails and waiting requests for the feed that are open."}),
		missed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "eye_feed_missed_items_total", Help: "Items that tails passed over because they read too slowly, before filters."}),
	}
	if opts.Registerer != nil {
		opts.Registerer.MustRegister(h.active, h.missed)
	}
	return h
}

// ring holds the newest items, numbered from 0 since the hub began to read.
type ring struct {
	items []*Item
	first int64    // number of items[0]
	bytes int      // of the sizes of the items
	begin Position // after which the ring has everything, up to end
	end   Position
}

func (r *ring) next() int64 { return r.first + int64(len(r.items)) }

// add appends a page, and drops the oldest items that exceed ringBytes.
func (r *ring) add(items []*Item, end Position) {
	for _, i := range items {
		r.bytes += i.Size()
	}
	r.items = append(r.items, items...)
	dropped := 0
	for ; r.bytes > ringBytes && dropped < len(r.items)-1; dropped++ {
		r.bytes -= r.items[dropped].Size()
		r.begin.Place = r.items[dropped].Place
		r.items[dropped] = nil
	}
	r.items, r.first = r.items[dropped:], r.first+int64(dropped)
	if cap(r.items) > 4*len(r.items) {
		r.items = append(make([]*Item, 0, 2*len(r.items)), r.items...)
	}
	r.end = end
}

// erase replaces the items that tombstones cover by their places. Listeners may hold the items, and
// a part of the list.
func (r *ring) erase(tombstones []erasure.Tombstone) {
	r.items = slices.Clone(r.items)
	for n, i := range r.items {
		if !slices.ContainsFunc(tombstones, i.isCoveredBy) {
			continue
		}
		i.erased.Store(true)
		r.bytes -= i.Size()
		r.items[n] = &Item{FeedItem: store.FeedItem{Place: i.Place}, Position: i.Position}
		r.items[n].erased.Store(true)
		r.bytes += r.items[n].Size()
	}
}

func (i *Item) isCoveredBy(t erasure.Tombstone) bool {
	var app string
	switch {
	case i.Event != nil:
		app = i.Event.App
	case i.Rejection != nil:
		app = i.Rejection.App
	default:
		return false
	}
	return (t.App == erasure.AllApps || t.App == app) && (t.Session == "" || t.Session == i.SessionKey) && i.Place.CarriedBy <= t.Visible
}

// eraseLocked applies the tombstones that were written since the last call.
func (h *Hub) eraseLocked() {
	if all := h.erasures().Tombstones(); len(all) > h.erased {
		h.ring.erase(all[h.erased:])
		h.erased = len(all)
	}
}

// Listener is a position in the ring. It belongs to one goroutine and must be closed.
type Listener struct {
	hub  *Hub
	next int64 // the number of the next item
	at   Position
}

// Listen returns a listener at the end of the feed. The error is ErrFull when too many listen, or
// that of ctx.
func (h *Hub) Listen(ctx context.Context) (*Listener, error) {
	ready, err := h.admit()
	if err != nil {
		return nil, err
	}
	l := &Listener{hub: h}
	select {
	case <-ready:
	case <-ctx.Done():
		l.Close()
		return nil, ctx.Err()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	l.next, l.at = h.ring.next(), h.ring.end
	return l, nil
}

// admit counts one more listener. ready is closed when the hub knows where it begins.
func (h *Hub) admit() (ready <-chan struct{}, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.ended:
		return nil, ErrEnded
	case h.listeners == MaxListeners:
		return nil, ErrFull
	case h.stop == nil:
		h.startLocked()
	}
	h.listeners++
	h.active.Inc()
	return h.ready, nil
}

// startLocked begins to read at the end of the feed.
func (h *Hub) startLocked() {
	ctx, cancel := context.WithCancel(context.Background())
	h.stop, h.ready, h.err, h.ring = cancel, make(chan struct{}), nil, ring{}
	h.erased = h.erasures().Len()
	go h.follow(ctx, h.ready)
}

// Close gives the listener's place back. The hub stops reading when nobody listens any more.
func (l *Listener) Close() {
	h := l.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	h.listeners--
	h.active.Dec()
	if h.listeners == 0 {
		h.stop()
		h.stop, h.ring = nil, ring{}
	}
}

// End ends all listeners, and later ones, with ErrEnded.
func (h *Hub) End() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ended = true
	h.wakeLocked()
}

// At returns the place that the listener has reached.
func (l *Listener) At() Position { return l.at }

// Rewind moves the listener to an earlier place. It reports false, and does nothing, when the ring
// no longer has everything after that place: the caller reads the feed until it has. When the hub
// has ended it reports true, and Next says why.
func (l *Listener) Rewind(to Position) bool {
	h := l.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ended || h.err != nil {
		return true
	}
	h.eraseLocked()
	if to.Timeline != h.ring.begin.Timeline || to.Place.Compare(h.ring.begin.Place) < 0 {
		return false
	}
	n, found := slices.BinarySearchFunc(h.ring.items, to.Place, func(i *Item, place store.FeedPlace) int { return i.Place.Compare(place) })
	if found {
		n++
	}
	l.next, l.at = h.ring.first+int64(n), to
	return true
}

func later(a, b Position) Position {
	if a.Place.Compare(b.Place) >= 0 {
		return a
	}
	return b
}

// Missed says that a listener was overtaken.
type Missed struct {
	Count    int64    // items passed over, before filters
	From, To Position // the places before the first and after the last of them
}

// Next waits for items after the listener's place and returns all that there are, at most
// maxListed. When the ring no longer has the next one, the listener goes on at the end of the feed,
// and missed says what it passed over. The error is that of ctx, ErrMoved or ErrEnded.
func (l *Listener) Next(ctx context.Context) (items []*Item, missed *Missed, err error) {
	for {
		h := l.hub
		h.mu.Lock()
		moved := h.moved
		h.eraseLocked()
		switch {
		case h.ended:
			err = ErrEnded
		case h.err != nil:
			err = h.err
		case l.next < h.ring.first:
			missed = &Missed{h.ring.next() - l.next, l.at, h.ring.end}
			h.missed.Add(float64(missed.Count))
			l.next, l.at = h.ring.next(), h.ring.end
		default:
			items = l.takeLocked()
		}
		h.mu.Unlock()
		if err != nil || missed != nil || len(items) > 0 {
			return items, missed, err
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		}
	}
}

// takeLocked returns the items of the ring after l.at, and moves the listener past them. A listener
// that was rewound to a place which the ring had not reached yet skips what comes before it.
func (l *Listener) takeLocked() []*Item {
	r := &l.hub.ring
	for l.next < r.next() && r.items[l.next-r.first].Place.Compare(l.at.Place) <= 0 {
		l.next++
	}
	items := r.items[l.next-r.first:]
	items = slices.Clip(items[:min(len(items), maxListed)])
	l.next += int64(len(items))
	if len(items) > 0 {
		l.at = Position{items[len(items)-1].Place, r.end.Timeline}
	}
	if l.next == r.next() {
		l.at = later(l.at, r.end)
	}
	return items
}

// maxListed is how many items Next returns at most. A slow listener keeps them in memory after the
// ring has dropped them.
const maxListed = 100

// follow reads the feed from its end on, until ctx is done.
func (h *Hub) follow(ctx context.Context, ready chan struct{}) {
	var at Position
	for {
		end, err := End(ctx, h.reader, h.progress)
		if err == nil {
			at = end
			break
		}
		if !h.pause(ctx, err) {
			return
		}
	}
	h.mu.Lock()
	if ctx.Err() == nil {
		h.ring.begin, h.ring.end = at, at
	}
	h.mu.Unlock()
	close(ready)
	for ctx.Err() == nil {
		before := h.erasures().Len()
		page, err := h.reader.Feed(ctx, everything(at))
		if gone, ok := errors.AsType[*store.PlaceGoneError](err); ok {
			h.fail(ctx, fmt.Errorf("%w: %w", ErrMoved, gone))
			return
		}
		if err != nil {
			if !h.pause(ctx, err) {
				return
			}
			continue
		}
		to := Position{page.Next, page.Timeline}
		if to != at {
			h.publish(ctx, page.Items, to, before)
			at = to
		}
		if !page.More {
			h.awaitMore(ctx, at)
		}
	}
}

// End returns the place after everything that is visible.
func End(ctx context.Context, reader store.Reader, tracker *progress.Tracker) (Position, error) {
	q := store.FeedQuery{Erasures: &query.Query{Apps: []string{}}, Limit: 1, MaxBytes: 1}
	if frame := tracker.Position(); frame > 0 {
		q.After = store.AfterFrame(frame)
	}
	page, err := reader.Feed(ctx, q)
	return Position{page.Next, page.Timeline}, err
}

// everything selects the next items of all kinds.
func everything(at Position) store.FeedQuery {
	return store.FeedQuery{
		Events: &query.Query{}, Rejections: &query.Query{}, Erasures: &query.Query{},
		After: at.Place, Timeline: at.Timeline, Limit: pageItems, MaxBytes: pageBytes,
	}
}

// publish adds items to the ring, which were read after a number of tombstones had been written.
func (h *Hub) publish(ctx context.Context, items []store.FeedItem, to Position, tombstones int) {
	list := make([]*Item, len(items))
	for n := range items {
		i := &Item{FeedItem: items[n], Position: PositionOf(&items[n]).String()}
		i.encoded = sync.OnceValues(func() ([]byte, error) { return h.encode(&i.FeedItem) })
		list[n] = i
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if ctx.Err() != nil { // another one reads by now
		return
	}
	h.ring.add(list, to)
	h.erased = min(h.erased, tombstones)
	h.eraseLocked()
	h.wakeLocked()
}

func (h *Hub) wakeLocked() {
	close(h.moved)
	h.moved = make(chan struct{})
}

// fail ends all listeners. The next one begins anew.
func (h *Hub) fail(ctx context.Context, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if ctx.Err() == nil {
		h.err = err
		h.wakeLocked()
	}
}

// pause waits after an error of the store. It reports false when ctx is done.
func (h *Hub) pause(ctx context.Context, err error) bool {
	if ctx.Err() == nil && !errors.Is(err, store.ErrUnavailable) {
		h.log.Error("the feed could not be read; it will be retried", "error", err)
	}
	return wait.For(ctx, retryAfter) == nil
}

// awaitMore waits until there may be more after a place: when another frame is stored, and after
// lookAgain, because an erasure does not always store one.
func (h *Hub) awaitMore(ctx context.Context, at Position) {
	ctx, cancel := context.WithTimeout(ctx, lookAgain)
	defer cancel()
	if h.progress.WaitFor(ctx, at.Place.CarriedBy+1) == nil {
		_ = wait.For(ctx, coalesce) // the caller looks at ctx
	}
}
