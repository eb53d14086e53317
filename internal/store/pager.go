package store

import "theeye/internal/query"

// Pager collects the items of a page within its bounds.
type Pager[T any] struct {
	Items []T
	More  bool // some item did not fit

	limit, left int
	size        func(*T) int
}

// NewPager returns an empty page with the bounds of a query. size returns the size of an item, in
// bytes.
func NewPager[T any](q query.Query, size func(*T) int) *Pager[T] {
	p := &Pager[T]{limit: q.Limit, left: q.MaxBytes, size: size}
	if p.limit == 0 {
		p.limit = query.DefaultLimit
	}
	if p.left == 0 {
		p.left = query.PageBytes
	}
	return p
}

// NewFeedPager returns an empty page with the bounds of a query of the feed.
func NewFeedPager(q FeedQuery) *Pager[FeedItem] {
	return &Pager[FeedItem]{limit: q.Limit, left: q.MaxBytes, size: (*FeedItem).Size}
}

// Add adds the next item if it fits. If not, it sets More and returns false.
func (p *Pager[T]) Add(item T) (fits bool) {
	n := p.size(&item)
	if len(p.Items) >= p.limit || len(p.Items) > 0 && n > p.left {
		p.More = true
		return false
	}
	p.Items = append(p.Items, item)
	p.left -= n
	return true
}

// AddAll adds the next items until one does not fit.
func (p *Pager[T]) AddAll(items []T) {
	for _, item := range items {
		if !p.Add(item) {
			return
		}
	}
}

// Room returns how many more items fit, whatever their size.
func (p *Pager[T]) Room() int { return p.limit - len(p.Items) }

// Page returns the page, with a horizon.
func (p *Pager[T]) Page(horizon uint64) Page[T] {
	return Page[T]{Items: p.Items, More: p.More, Horizon: horizon}
}
