package event_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"theeye/internal/event"
)

// The total order (P4): time, seq with absent last, frame, index.
func TestKeyOrder(t *testing.T) {
	t.Parallel()
	key := func(at event.Micros, seq int64, frame uint64, index uint32) event.Key {
		return event.Key{OccurredAt: at, Seq: seq, Position: event.Position{Frame: frame, Index: index}}
	}
	sorted := []event.Key{
		key(1, event.NoSeq, 9, 9),
		key(2, 0, 9, 9),
		key(2, 1, 1, 2),
		key(2, 1, 2, 1),
		key(2, event.MaxSeq, 1, 0),
		key(2, event.NoSeq, 1, 0),
		key(2, event.NoSeq, 1, 1),
		key(2, event.NoSeq, 10, 0),
		key(3, 0, 0, 0),
	}
	for i, a := range sorted {
		for j, b := range sorted {
			want := 0
			if i < j {
				want = -1
			} else if i > j {
				want = 1
			}
			if got := a.Compare(b); got != want {
				t.Errorf("%+v and %+v: got %d, want %d", a, b, got, want)
			}
		}
	}
	e := sample()
	if got, want := e.Key(), key(newYear+2, 7, 4, 5); got != want {
		t.Errorf("key %+v, want %+v", got, want)
	}
}

// Every order of arrivals sorts to the same order.
func TestKeyOrderIsTotal(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		keys := rapid.SliceOfDistinct(rapid.Custom(func(t *rapid.T) event.Key {
			return event.Key{
				OccurredAt: event.Micros(rapid.IntRange(0, 2).Draw(t, "at")),
				Seq:        rapid.SampledFrom([]int64{0, 1, event.NoSeq}).Draw(t, "seq"),
				Position: event.Position{
					Frame: rapid.Uint64Range(1, 3).Draw(t, "frame"),
					Index: rapid.Uint32Range(0, 2).Draw(t, "index"),
				},
			}
		}), func(k event.Key) event.Key { return k }).Draw(t, "keys")
		shuffled := rapid.Permutation(keys).Draw(t, "shuffled")
		slices.SortFunc(keys, event.Key.Compare)
		slices.SortFunc(shuffled, event.Key.Compare)
		if diff := cmp.Diff(keys, shuffled, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("sorted differently:\n%s", diff)
		}
		for i := 1; i < len(keys); i++ {
			if keys[i-1].Compare(keys[i]) >= 0 {
				t.Fatalf("%+v and %+v are equal", keys[i-1], keys[i])
			}
		}
	})
}

func TestFateNames(t *testing.T) {
	t.Parallel()
	var got []string
	for fate := event.Pending; fate <= event.Expired+1; fate++ {
		got = append(got, fate.String())
	}
	want := []string{"pending", "stored", "rejected", "duplicate", "erased", "expired", "unknown"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestTimestampIsNumber(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"1609459200": true, "1.6e9": true, "-0": true, "2021-01-01T00:00:00Z": false, "2021-01-01 00:00:00": false,
	} {
		if got := (&event.Event{Timestamp: text}).TimestampIsNumber(); got != want {
			t.Errorf("%s: got %v", text, got)
		}
	}
}
