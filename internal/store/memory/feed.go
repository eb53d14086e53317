package memory

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"

	"theeye/internal/store"
)

// timeline is that of all memory stores: they have nothing that could differ.
const timeline = "memory"

// Feed implements store.Reader.
func (s *Store) Feed(ctx context.Context, q store.FeedQuery) (store.FeedPage, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if q.Timeline != "" && q.Timeline != timeline {
		return store.FeedPage{}, &store.PlaceGoneError{}
	}
	var selected []store.FeedItem
	add := func(item store.FeedItem, session string) {
		if item.Place.Compare(q.After) > 0 {
			item.SessionKey = sessionKey(session)
			selected = append(selected, item)
		}
	}
	for _, e := range s.events {
		if q.Events != nil && q.Events.SelectsEvent(e) {
			add(store.FeedItem{Place: store.PlaceOfEvent(e), Event: e}, e.SessionID)
		}
	}
	for _, r := range s.rejections {
		if q.Rejections != nil && q.Rejections.SelectsRejection(r) {
			add(store.FeedItem{Place: store.PlaceOfRejection(r), Rejection: r}, r.SessionID)
		}
	}
	slices.SortFunc(selected, func(a, b store.FeedItem) int { return a.Place.Compare(b.Place) })
	page := store.FeedPage{Timeline: timeline, Next: q.After}
	pager := store.NewFeedPager(q)
	for _, item := range selected {
		item.Timeline = timeline
		if item.Event != nil {
			item.Event = copyEvent(item.Event)
		} else {
			item.Rejection = copyRejection(item.Rejection)
		}
		if !pager.Add(item) {
			break
		}
	}
	page.Items, page.More = pager.Items, pager.More
	switch end := store.AfterFrame(s.position); {
	case page.More:
		page.Next = page.Items[len(page.Items)-1].Place
	case end.Compare(q.After) > 0 && s.position > 0:
		page.Next = end
	}
	return page, ctx.Err()
}

// sessionKey stands for the keyed hash of other stores; the key is empty.
func sessionKey(session string) string {
	if session == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(session))
	return hex.EncodeToString(sum[:])
}
