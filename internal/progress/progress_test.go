package progress_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"theeye/internal/event"
	"theeye/internal/progress"
)

func pack(fates ...event.Fate) progress.Outcomes {
	var list []event.Outcome
	for _, f := range fates {
		list = append(list, event.Outcome{Fate: f})
	}
	return progress.Pack(list)
}

func TestWaitersWakeWhenTheirFrameIsStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := progress.New(3)
		if err := l.WaitFor(t.Context(), 3); err != nil {
			t.Fatal("what is stored already must not wait:", err)
		}
		var got progress.Outcomes
		done := make(chan error, 1)
		go func() {
			var err error
			got, err = l.Outcomes(t.Context(), 5)
			done <- err
		}()
		l.MarkStored(4, map[uint64]progress.Outcomes{4: pack(event.Stored)})
		synctest.Wait()
		select {
		case err := <-done:
			t.Fatal("woken for another frame:", err)
		default:
		}
		l.MarkStored(5, map[uint64]progress.Outcomes{5: progress.Pack([]event.Outcome{
			{Fate: event.Duplicate}, {Fate: event.Rejected, Problems: []event.Problem{{Code: event.IDConflict}}}})})
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(event.Outcome{Fate: event.Duplicate}, got.At(0)); diff != "" {
			t.Error(diff)
		}
		want := event.Outcome{Fate: event.Rejected, Problems: []event.Problem{{Code: event.IDConflict}}}
		if diff := cmp.Diff(want, got.At(1)); diff != "" {
			t.Error(diff)
		}
		if got.At(2).Fate != event.Pending {
			t.Error("an outcome for a record that is not there")
		}
	})
}

func TestWaitEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := progress.New(0).Outcomes(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}

func TestOldOutcomesAreForgotten(t *testing.T) {
	l := progress.New(0)
	for i := uint64(1); i <= progress.RememberedFrames+1; i++ {
		l.MarkStored(i, map[uint64]progress.Outcomes{i: pack(event.Stored)})
	}
	if _, err := l.Outcomes(t.Context(), 1); !errors.Is(err, progress.ErrForgotten) {
		t.Errorf("frame 1: %v", err)
	}
	if _, err := l.Outcomes(t.Context(), 2); err != nil {
		t.Errorf("frame 2: %v", err)
	}
}

func TestPendingIsWhatBooksDoNotHave(t *testing.T) {
	l := progress.New(10)
	l.MarkAcknowledged(11, map[string]int64{"shop": 2})
	l.MarkAcknowledged(12, map[string]int64{"shop": 1, "blog": 4})
	l.MarkStored(11, nil)
	for _, c := range []struct {
		position uint64
		want     map[string]int64
	}{
		{10, map[string]int64{"shop": 3, "blog": 4}}, // books read before frame 11 was stored
		{11, map[string]int64{"shop": 1, "blog": 4}},
		{12, map[string]int64{}},
	} {
		got, ok := l.Pending(c.position)
		if diff := cmp.Diff(c.want, got); diff != "" || !ok {
			t.Errorf("position %d, %v: %s", c.position, ok, diff)
		}
	}
}

func TestCountsAreBounded(t *testing.T) {
	l := progress.New(0)
	const last = 4 * progress.CountedFrames
	for i := uint64(1); i <= last; i++ {
		l.MarkAcknowledged(i, map[string]int64{"shop": 1})
		l.MarkStored(i, nil)
	}
	if _, ok := l.Pending(1); ok {
		t.Error("a forgotten position was answered")
	}
	if got, ok := l.Pending(last - 7); !ok || got["shop"] != 7 {
		t.Errorf("got %v, %v", got, ok)
	}
}

// After a reset of the store, a frame that has to be stored again is not reported as stored.
func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := progress.New(0)
		l.MarkStored(4, map[uint64]progress.Outcomes{3: pack(event.Stored), 4: pack(event.Stored)})
		l.Rewind(9)
		if l.Position() != 4 {
			t.Error("a restart is no progress")
		}
		l.Rewind(3)
		done := make(chan error, 1)
		go func() {
			_, err := l.Outcomes(t.Context(), 4)
			done <- err
		}()
		synctest.Wait()
		select {
		case err := <-done:
			t.Fatal("told of a frame that is not stored any more:", err)
		default:
		}
		if o, err := l.Outcomes(t.Context(), 3); err != nil || o.At(0).Fate != event.Stored {
			t.Errorf("what is stored still: %v, %v", o, err)
		}
		l.MarkStored(4, map[uint64]progress.Outcomes{4: pack(event.Duplicate)})
		if err := <-done; err != nil {
			t.Error(err)
		}
		if o, err := l.Outcomes(t.Context(), 4); err != nil || o.At(0).Fate != event.Duplicate {
			t.Errorf("the last word: %v, %v", o, err)
		}
	})
}
