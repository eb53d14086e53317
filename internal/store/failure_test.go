package store_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"theeye/internal/store"
)

func TestFailureTracker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f store.FailureTracker
		fault := errors.New("no room")
		if err := f.Err(0); err != nil {
			t.Errorf("at first: %v", err)
		}
		f.Record(errors.New("another"))
		time.Sleep(time.Second)
		f.Record(fault)
		if err := f.Err(2 * time.Second); err != nil {
			t.Errorf("too soon: %v", err)
		}
		if err := f.Err(time.Second); !errors.Is(err, fault) {
			t.Errorf("after a second: %v", err)
		}
		f.Record(nil)
		if err := f.Err(0); err != nil {
			t.Errorf("after it worked: %v", err)
		}
	})
}
