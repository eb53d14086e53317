package fair_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"

	"theeye/internal/fair"
)

// Who waits is served in turn by key, whatever the number of its requests.
func TestInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := fair.New(fair.Options{Places: 1, PerKey: 1, PerApp: 1, Waiting: 10})
		hold, err := s.Acquire(t.Context(), fair.Caller{App: "x", Key: "x"})
		if err != nil {
			t.Fatal(err)
		}
		var served []string
		for _, key := range []string{"a", "a", "a", "b", "b", "c"} {
			go func() {
				release, err := s.Acquire(t.Context(), fair.Caller{App: key, Key: key})
				if err != nil {
					t.Error(err)
					return
				}
				served = append(served, key)
				release()
			}()
			synctest.Wait()
		}
		hold()
		synctest.Wait()
		if want := []string{"a", "b", "c", "a", "b", "a"}; !slices.Equal(served, want) {
			t.Errorf("served %v, want %v", served, want)
		}
	})
}

// One key leaves places for others, also when it asks for all of them first.
func TestSharesOfKeysAndApplications(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := fair.New(fair.Options{Places: 16, PerKey: 8, PerApp: 12, Waiting: 16})
		ctx, cancel := context.WithCancel(t.Context())
		for _, c := range []struct {
			app, key string
			want     int
		}{{"shop", "1", 8}, {"shop", "2", 4}, {"blog", "3", 4}, {"news", "4", 0}} {
			before, _ := s.Waiting()
			for range 16 {
				go func() { _, _ = s.Acquire(ctx, fair.Caller{App: c.app, Key: c.key}) }()
			}
			synctest.Wait()
			if now, _ := s.Waiting(); now-before != c.want {
				t.Errorf("%s of %s gets %d places, want %d", c.key, c.app, now-before, c.want)
			}
		}
		cancel()
		synctest.Wait()
		if _, waiting := s.Waiting(); waiting != 0 {
			t.Errorf("%d wait whose context has ended", waiting)
		}
		if _, err := s.Acquire(ctx, fair.Caller{}); !errors.Is(err, context.Canceled) {
			t.Errorf("a caller who is gone: %v", err)
		}
	})
}

// The bounds hold, and nobody waits who may have a place, whatever is done.
func TestBounds(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		synctest.Test(t, func(t *testing.T) {
			o := fair.Options{
				Places: rapid.IntRange(1, 6).Draw(rt, "places"), PerKey: rapid.IntRange(1, 4).Draw(rt, "per key"),
				PerApp: rapid.IntRange(1, 5).Draw(rt, "per app"), Waiting: rapid.IntRange(1, 3).Draw(rt, "waiting"),
			}
			s := fair.New(o)
			type call struct {
				c       fair.Caller
				cancel  context.CancelFunc
				release func()
				err     error
				over    bool
			}
			var calls []*call
			for i := range rapid.IntRange(1, 40).Draw(rt, "steps") {
				switch {
				case len(calls) == 0 || rapid.Bool().Draw(rt, fmt.Sprint("ask", i)):
					key := rapid.IntRange(0, 4).Draw(rt, "key")
					x := &call{}
					if key > 0 {
						x.c = fair.Caller{App: fmt.Sprint(key % 2), Key: fmt.Sprint(key)}
					}
					ctx, cancel := context.WithCancel(t.Context())
					x.cancel = cancel
					calls = append(calls, x)
					go func() { x.release, x.err = s.Acquire(ctx, x.c) }()
				default:
					x := calls[rapid.IntRange(0, len(calls)-1).Draw(rt, "which")]
					if x.release != nil && !x.over {
						x.over = true
						x.release()
					}
					x.cancel()
				}
				synctest.Wait()
				used, byKey, byApp := 0, map[fair.Caller]int{}, map[string]int{}
				for _, x := range calls {
					if x.release != nil && !x.over {
						used++
						byKey[x.c]++
						if x.c != (fair.Caller{}) {
							byApp[x.c.App]++
						}
					}
				}
				if n, _ := s.Waiting(); used > o.Places || n != used {
					rt.Fatalf("%d of %d places are taken, %d are counted", used, o.Places, n)
				}
				for _, x := range calls {
					own := x.c == fair.Caller{}
					if !own && (byKey[x.c] > o.PerKey || byApp[x.c.App] > o.PerApp) {
						rt.Fatalf("%v has %d, its application %d: %+v", x.c, byKey[x.c], byApp[x.c.App], o)
					}
					waits := x.release == nil && x.err == nil
					if waits && used < o.Places && (own || byKey[x.c] < o.PerKey && byApp[x.c.App] < o.PerApp) {
						rt.Fatalf("%v waits for a place that is free: %+v", x.c, o)
					}
				}
			}
			for _, x := range calls {
				x.cancel()
			}
			synctest.Wait()
		})
	})
}
