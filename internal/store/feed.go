package store

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"theeye/internal/erasure"
	"theeye/internal/event"
	"theeye/internal/query"
)

// FeedPlace is a place in the feed, the order in which records were stored: by the frame that
// carried a record, then by its position. An erasure comes after everything that was visible when
// its tombstone was written, and before everything later. The zero value is the place before
// everything.
type FeedPlace struct {
	CarriedBy uint64
	Position  event.Position
	// Tombstone is the number of the newest tombstone passed. It orders erasures that come after
	// the same frame, and is 0 at a record.
	Tombstone uint32
}

// Compare returns a negative number if p comes before q, 0 if they are equal, and a positive number
// otherwise.
func (p FeedPlace) Compare(q FeedPlace) int {
	return cmp.Or(cmp.Compare(p.CarriedBy, q.CarriedBy), p.Position.Compare(q.Position), cmp.Compare(p.Tombstone, q.Tombstone))
}

// AfterFrame returns the place after all records of a frame, and before the erasures that follow
// it.
func AfterFrame(frame uint64) FeedPlace {
	return FeedPlace{CarriedBy: frame, Position: event.Position{Frame: math.MaxInt64, Index: math.MaxUint32}}
}

// PlaceOfEvent returns the place of an event in the feed.
func PlaceOfEvent(e *event.Event) FeedPlace {
	return FeedPlace{CarriedBy: e.CarriedBy, Position: e.Position}
}

// PlaceOfRejection returns the place of a rejection in the feed.
func PlaceOfRejection(r *event.Rejection) FeedPlace {
	return FeedPlace{CarriedBy: r.CarriedBy, Position: r.Position}
}

// FeedQuery selects a page of the feed.
type FeedQuery struct {
	// Events, Rejections and Erasures select the items of their kinds; nil selects none of them. Of
	// a query, only the filters matter, without Replayed. Of Erasures, only Apps and SessionIDs
	// matter.
	Events, Rejections, Erasures *query.Query

	// After is the place after which the page begins, on the timeline that it was read from; the
	// empty timeline is for the start of the feed.
	After    FeedPlace
	Timeline string

	Limit    int // items of a page, at most; 1 or more
	MaxBytes int // of the sizes of the items, except that the first item always fits; 1 or more
}

// FeedPage is a page of the feed.
type FeedPage struct {
	Items    []FeedItem
	Next     FeedPlace // everything up to here was searched
	Timeline string    // of Next
	More     bool      // something after Next may be visible already
}

// FeedItem is an event, a rejection or an erasure: one of the three is set.
type FeedItem struct {
	Place FeedPlace
	// Timeline is that of Place. A record has the timeline that its frame was written in, so that
	// its position stays the same after a restore.
	Timeline   string
	SessionKey string // the keyed hash of the session id; empty without a session
	Event      *event.Event
	Rejection  *event.Rejection
	Erased     *FeedErasure
}

// FeedErasure says that everything before it of a session or, without a session key, of an
// application was erased.
type FeedErasure struct {
	App string // erasure.AllApps for all applications
	At  event.Micros
}

// IsSelected reports whether q, the Erasures of a FeedQuery, selects the erasure. sessionKey is the keyed
// hash of its session, empty for a whole application; sessionKeys are those of q.SessionIDs, nil if
// q has none.
func (e *FeedErasure) IsSelected(q *query.Query, sessionKey string, sessionKeys []string) bool {
	ofApp := q.Apps == nil || e.App == erasure.AllApps && len(q.Apps) > 0 || slices.Contains(q.Apps, e.App)
	return ofApp && (sessionKeys == nil || sessionKey == "" || slices.Contains(sessionKeys, sessionKey))
}

// Size returns the approximate size of the item in memory, in bytes.
func (i *FeedItem) Size() int {
	n := 96 + len(i.SessionKey)
	switch {
	case i.Event != nil:
		n += i.Event.Size()
	case i.Rejection != nil:
		n += i.Rejection.Size()
	}
	return n
}

// PlaceGoneError is returned for a place on a timeline of which the store has only an earlier part,
// or nothing: it was restored from a backup, or has lost its queue. Common is the last place that
// both timelines have; it is zero when they have nothing in common.
type PlaceGoneError struct {
	Common   FeedPlace
	Timeline string // of Common; empty when it is zero
}

// Error describes the error.
func (e *PlaceGoneError) Error() string {
	return fmt.Sprintf("the feed ends at frame %d of timeline %q", e.Common.CarriedBy, e.Timeline)
}
