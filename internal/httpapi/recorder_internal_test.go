package httpapi

import (
	"errors"
	"net/http"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// caller reads an answer at a rate, in bytes per second, like a connection without a buffer. Its
// deadline works like that of a connection.
type caller struct {
	http.ResponseWriter

	rate     int
	deadline time.Time
	taken    int
}

func (c *caller) SetWriteDeadline(t time.Time) error { c.deadline = t; return nil }

func (c *caller) Write(b []byte) (int, error) {
	needs := time.Hour
	if c.rate > 0 {
		needs = time.Duration(len(b)) * time.Second / time.Duration(c.rate)
	}
	if left := time.Until(c.deadline); left < needs {
		time.Sleep(left)
		return 0, os.ErrDeadlineExceeded
	}
	time.Sleep(needs)
	c.taken += len(b)
	return len(b), nil
}

// An answer is cut off after a minute in which its caller reads less than 64 KiB per second. The
// time that the server needs to produce it does not count.
func TestLeastRate(t *testing.T) {
	const size = 64 << 20
	for _, c := range []struct {
		name  string
		rate  int           // of the caller
		pause time.Duration // of the server, before each MiB
		ends  time.Duration // 0 for the whole answer
	}{
		{"nothing is taken", 0, 0, time.Minute},
		{"a byte a second", 1, 0, time.Minute},
		{"half of the least rate", leastRate / 2, 0, time.Minute},
		{"nearly the least rate", leastRate - 1024, 0, time.Minute},
		{"the least rate", leastRate, 0, 0},
		{"a fast caller", 10 << 20, 0, 0},
		{"a fast caller of a slow server", 10 << 20, time.Hour, 0},
		{"a slow caller of a slow server", leastRate / 2, time.Hour, time.Minute + 2*time.Hour},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				to := &caller{rate: c.rate}
				r := newStatusRecorder(to, DefaultStallDeadline)
				began := time.Now()
				var err error
				for sent := 0; sent < size && err == nil; sent += 1 << 20 {
					time.Sleep(c.pause)
					_, err = r.Write(make([]byte, 1<<20))
				}
				took := time.Since(began)
				if whole := to.taken == size && err == nil; whole != (c.ends == 0) {
					t.Fatalf("%d bytes were taken in %v, %v", to.taken, took, err)
				}
				if c.ends > 0 && (took < c.ends-time.Second || took > c.ends+time.Second) {
					t.Errorf("the answer was torn after %v, want %v", took, c.ends)
				}
			})
		})
	}
}

// Writing an answer that was ended fails immediately, even while its caller reads nothing.
func TestEndOfAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newStatusRecorder(&caller{rate: 1 << 20}, DefaultStallDeadline)
		if _, err := r.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		why := errors.New("why")
		r.end(why)
		r.end(errors.New("another"))
		if _, err := r.Write([]byte("x")); !errors.Is(err, why) {
			t.Errorf("a write after the end: %v", err)
		}
		if got := r.finish(); !errors.Is(got, why) {
			t.Errorf("it was ended with %v", got)
		}
		r.end(why)
		if _, err := r.Write([]byte("x")); err != nil {
			t.Errorf("the error that is answered instead: %v", err)
		}
	})
}
