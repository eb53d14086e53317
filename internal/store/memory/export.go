package memory

import (
	"context"
	"math"

	"theeye/internal/event"
	"theeye/internal/query"
)

// Export implements store.Reader. It takes the memory of all the events.
func (s *Store) Export(ctx context.Context, q query.Query, each func(*event.Event) error) error {
	q.Limit, q.MaxBytes, q.After = math.MaxInt, math.MaxInt, nil
	page, err := s.Events(ctx, q)
	if err != nil {
		return err
	}
	for i := range page.Items {
		if err := each(&page.Items[i]); err != nil {
			return err
		}
	}
	return ctx.Err()
}
