package cli

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

// answering is a server: it receives the body of each request and returns the answer, or an error.
type answering func(body string) (*http.Response, error)

func (a answering) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	return a(string(body))
}

func accepted() *http.Response {
	const text = `{"received":1,"accepted":1,"rejected":0,"duplicates":0,"events":[]}`
	return &http.Response{StatusCode: http.StatusAccepted, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(text))}
}

// newPipeSender returns a sender like that of `eye send` for an input that may pause.
func newPipeSender(t *testing.T, server answering) *sender {
	s := newTestSender(t, server)
	s.linger = linger
	return s
}

// An event from a pipe is sent soon, whether or not more follow.
func TestSendFromAPipeThatPauses(t *testing.T) {
	t.Parallel()
	for name, texts := range map[string][]string{
		"lines":        {"{\"id\":\"a\"}\n", "{\"id\":\"b\"}\n", "{\"id\":\"c\"}\n"},
		"values":       {"{\n\"id\":\"a\"}", "{\n\"id\":\"b\"}", "{\n\"id\":\"c\"}"},
		"an array":     {"[{\"id\":\"a\"}", ",{\"id\":\"b\"}", ",{\"id\":\"c\"}"},
		"broken lines": {"a\n", "b\n", "c\n"},
		"short lines":  {"1\n", "2\n", "3\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var bodies []string
				s := newPipeSender(t, func(body string) (*http.Response, error) {
					bodies = append(bodies, body)
					return accepted(), nil
				})
				ctx, interrupt := context.WithCancel(t.Context())
				in, to := io.Pipe()
				ended := make(chan error)
				go func() { ended <- s.sendAll(ctx, in, sendOptions{limit: 500}) }()
				for i, text := range texts {
					_, _ = io.WriteString(to, text)
					time.Sleep(500 * time.Millisecond)
					synctest.Wait()
					if len(bodies) != i+1 {
						t.Errorf("half a second after event %d there were %d requests", i, len(bodies))
					}
				}
				interrupt()
				if err := <-ended; err == nil {
					t.Error("the interruption is not reported")
				}
				_ = to.Close()
			})
		})
	}
}

// Events that arrive together are sent together.
func TestSendFromAPipeGathers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var bodies []string
		s := newPipeSender(t, func(body string) (*http.Response, error) {
			bodies = append(bodies, body)
			return accepted(), nil
		})
		err := s.sendAll(t.Context(), strings.NewReader("{\"id\":\"a\"}\n{\"id\":\"b\"}\n{\"id\":\"c\"}\n"), sendOptions{limit: 2})
		want := []string{"{\"id\":\"a\"}\n{\"id\":\"b\"}\n", "{\"id\":\"c\"}\n"}
		if diff := cmp.Diff(want, bodies); diff != "" || err != nil {
			t.Error(diff, err)
		}
	})
}

// An interruption sends what was read, and reports how far that was.
func TestInterruptedSend(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, in string
		away     bool
		sent     []string
		err      string
	}{
		{"between lines", "{\"id\":\"a\"}\n\n{\"id\":\"b\"}\n", false, []string{"{\"id\":\"a\"}\n{\"id\":\"b\"}\n"}, "interrupted: events after line 3 were not sent"},
		{"within a line", "{\"id\":\"a\"}\n{\"id\":", false, []string{"{\"id\":\"a\"}\n"}, "interrupted: events after line 1 were not sent"},
		{"within the first line", "{\"id\":", false, nil, "interrupted: nothing was sent"},
		{"within an array", `[{"id":"a"},{"id"`, false, []string{`[{"id":"a"}]`}, "interrupted: events after event 0 were not sent"},
		{"within a value", "{\n\"id\":\"a\"}{\n", false, []string{"[{\n\"id\":\"a\"}]"}, "interrupted: events after event 0 were not sent"},
		{"before anything", "", false, nil, "interrupted: nothing was sent"},
		{"while the server is away", "{\"id\":\"a\"}\n", true, []string{"{\"id\":\"a\"}\n"}, "interrupted: nothing was sent: given up after 1 attempt: no answer from http://eye: away"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var bodies []string
				s := newPipeSender(t, func(body string) (*http.Response, error) {
					bodies = append(bodies, body)
					if tc.away {
						return nil, errors.New("away")
					}
					return accepted(), nil
				})
				ctx, interrupt := context.WithCancel(t.Context())
				in, to := io.Pipe()
				ended := make(chan error)
				go func() { ended <- s.sendAll(ctx, in, sendOptions{limit: 500}) }()
				_, _ = io.WriteString(to, tc.in)
				synctest.Wait()
				interrupt()
				if err := <-ended; err == nil || err.Error() != tc.err {
					t.Errorf("got %v, want %s", err, tc.err)
				}
				if diff := cmp.Diff(tc.sent, bodies); diff != "" {
					t.Error(diff)
				}
				_ = to.Close()
			})
		})
	}
}

// A sender that waits for a server tries once more when it is interrupted, and ends.
func TestInterruptedRetry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		s := newPipeSender(t, func(string) (*http.Response, error) {
			tries++
			return nil, errors.New("away")
		})
		ctx, interrupt := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- s.sendAll(ctx, strings.NewReader(`{"id":"a"}`), sendOptions{limit: 500}) }()
		synctest.Wait()
		if tries != 1 {
			t.Errorf("%d tries before", tries)
		}
		interrupt()
		if err := <-ended; err == nil || tries != 2 {
			t.Errorf("%d tries, %v", tries, err)
		}
	})
}

func TestContentIDs(t *testing.T) {
	t.Parallel()
	ids := func(app string, texts ...string) (list []uuid.UUID) {
		c := newContentIDs(app)
		for _, text := range texts {
			id, err := c.id([]byte(text))
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, id)
		}
		return list
	}
	first := ids("shop", "a", "b", "a", "a")
	if again := ids("shop", "a", "b", "a", "a"); !slices.Equal(first, again) {
		t.Error("the same input has other ids", first, again)
	}
	if grown := ids("shop", "new", "b", "a", "a", "a"); !slices.Equal([]uuid.UUID{grown[2], grown[1], grown[3], grown[4]}, first) {
		t.Error("another line changes ids", first, grown)
	}
	all := slices.Concat(first, ids("blog", "a", "b", "a", "a"), ids("", "a"))
	slices.SortFunc(all, func(a, b uuid.UUID) int { return strings.Compare(a.String(), b.String()) })
	if len(slices.Compact(all)) != 9 {
		t.Error("events share ids", all)
	}
	// Servers have stored such ids, so they must never change.
	if first[0].String() != "028a386a-691c-521f-ac2c-4efe60b717b6" {
		t.Error("ids are made in another way", first[0])
	}
	full := newContentIDs("shop")
	full.most = 1
	for range 2 {
		if _, err := full.id([]byte("a")); err != nil {
			t.Error(err)
		}
	}
	if _, err := full.id([]byte("b")); err == nil || !strings.Contains(err.Error(), "--ids-from-content=false") {
		t.Error(err)
	}
}
