package client

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// streamed answers every request with a body, which a request that is canceled ends.
type streamed struct {
	body  string
	stays bool // open after the body
}

func (s streamed) RoundTrip(r *http.Request) (*http.Response, error) {
	out, in := io.Pipe()
	go func() {
		_, _ = io.WriteString(in, s.body)
		if s.stays {
			<-r.Context().Done()
			_ = in.CloseWithError(r.Context().Err())
			return
		}
		_ = in.Close()
	}()
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: out, Request: r}, nil
}

func streamClient(t *testing.T, s streamed) *Client {
	t.Helper()
	c, err := New("http://server", "")
	if err != nil {
		t.Fatal(err)
	}
	c.UseTransport(s)
	return c
}

func TestMessages(t *testing.T) {
	const body = "id: 1\n\n: comment\nevent: event\nid: 2\ndata: {\"a\":\ndata: 1}\nretry: 5\n\r\nevent:erased\r\nid:3\r\ndata: {}\r\n\r\nevent: event\nid: 4\ndata: cut off\n"
	type message struct{ Event, ID, Data string }
	var got []message
	c := streamClient(t, streamed{body: body})
	err := c.Messages(t.Context(), Request{Method: http.MethodGet, Path: TailPath}, func(m Message) error {
		got = append(got, message{m.Event, m.ID, string(m.Data)})
		return nil
	})
	want := []message{{"", "1", ""}, {"event", "2", "{\"a\":\n1}"}, {"erased", "3", "{}"}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
	wrong := errors.New("wrong")
	if err := c.Messages(t.Context(), Request{Method: http.MethodGet, Path: TailPath}, func(Message) error { return wrong }); !errors.Is(err, wrong) {
		t.Error(err)
	}
}

// A stream that is silent for a minute ends, but a slow reader does not end it.
func TestSilentStreamEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		c := streamClient(t, streamed{body: "id: 1\n\n", stays: true})
		err := c.Messages(t.Context(), Request{Method: http.MethodGet, Path: TailPath}, func(Message) error {
			time.Sleep(5 * time.Minute)
			return nil
		})
		if took := time.Since(began); !errors.Is(err, errSilence) || took != 5*time.Minute+silence {
			t.Errorf("%v after %v", err, took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := c.Messages(ctx, Request{Method: http.MethodGet, Path: TailPath}, func(Message) error { return nil }); !errors.Is(err, context.DeadlineExceeded) || !strings.HasPrefix(err.Error(), "interrupted") {
			t.Error(err)
		}
		synctest.Wait()
	})
}
