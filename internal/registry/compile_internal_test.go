package registry

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"theeye/internal/schema"
)

// A compile that does not end is given up, and no more than two can be at it.
func TestCompilingIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slots := make(chan struct{}, maxCompiling)
		hang := make(chan struct{})
		endless := func() (*schema.Type, error) { <-hang; return nil, nil }
		try := func(compile func() (*schema.Type, error)) (time.Duration, error) {
			ctx, cancel := context.WithTimeout(t.Context(), maxCompileTime)
			defer cancel()
			start := time.Now()
			_, err := within(ctx, slots, compile)
			return time.Since(start), err
		}
		var refused *schema.CompileError
		for range maxCompiling {
			if took, err := try(endless); !errors.As(err, &refused) || took > time.Second {
				t.Errorf("%v after %v", err, took)
			}
		}
		quick := func() (*schema.Type, error) { return schema.Compile("c", "n", 0, []byte(`{}`)) }
		if took, err := try(quick); !errors.Is(err, ErrUnavailable) || took > time.Second {
			t.Errorf("with all places taken: %v after %v", err, took)
		}
		close(hang)
		synctest.Wait()
		if took, err := try(quick); err != nil || took != 0 {
			t.Errorf("afterwards: %v after %v", err, took)
		}
	})
}
