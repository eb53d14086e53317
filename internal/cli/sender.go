package cli

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"theeye/internal/client"
)

// Delays between the tries of one batch.
const (
	firstBackoff = 200 * time.Millisecond
	maxBackoff   = 30 * time.Second
	maxAsked     = 5 * time.Minute // the longest Retry-After that is honoured
)

// sender delivers batches, and retries them until they are answered.
type sender struct {
	client   *client.Client
	wait     bool          // until the events are stored
	retryFor time.Duration // since the first try of a batch
	linger   time.Duration // how long an element waits for others of its batch; 0 for as long as it takes
	pause    func(ctx context.Context, d time.Duration) error
	notice   func(text string) // says why it waits; once for each batch
	reject   func(e element, id string, problems []client.EventProblem)

	newID      func(text []byte) (uuid.UUID, error) // for an event that has none
	newRequest func(first int, body []byte) string  // an Idempotency-Key, for broken lines, which carry no id

	sums client.Totals
	last *element // the last element of the batches that were answered; nil for none
}

// send delivers one batch. Its elements have ids, so a repeated request stores nothing twice. When
// ctx is done, the request under way is retried at most once.
func (s *sender) send(ctx context.Context, b batch) error {
	contentType, body := b.body()
	r := client.Request{
		Method: http.MethodPost, Path: client.EventsPath, Query: url.Values{"quiet": {"1"}},
		ContentType: contentType, Body: body, IdempotencyKey: s.newRequest(b.elements[0].number, body),
	}
	if s.wait {
		r.Query.Set("wait", "stored")
	}
	answer, err := s.deliver(ctx, r)
	var p *client.Problem
	if errors.As(err, &p) && p.Status == http.StatusRequestEntityTooLarge {
		return s.sendHalves(ctx, b, p)
	}
	if err != nil {
		return err
	}
	var a client.IntakeAnswer
	if err := client.Decode(r.Path, answer, &a); err != nil {
		return err
	}
	s.sums.Add(a.Totals)
	s.last = &b.elements[len(b.elements)-1]
	for _, e := range a.Events {
		if e.Status == "rejected" && e.Index >= 0 && e.Index < len(b.elements) {
			s.reject(b.elements[e.Index], e.ID, b.elements[e.Index].located(e.Problems, e.Index+1))
		}
	}
	return nil
}

// placeInRequest matches the place at which the server says that a request is not JSON.
var placeInRequest = regexp.MustCompile(`\bat line ([0-9]+), column ([0-9]+)`)

// located replaces places in the request, whose nth line is the element, by places in the element.
func (e *element) located(problems []client.EventProblem, n int) []client.EventProblem {
	if !e.line {
		return problems
	}
	located := slices.Clone(problems)
	for i := range located {
		message := located[i].Message
		at := placeInRequest.FindStringSubmatch(message)
		if at == nil || at[1] != strconv.Itoa(n) {
			continue
		}
		column, err := strconv.Atoi(at[2])
		if err == nil {
			located[i].Message = strings.Replace(message, at[0], fmt.Sprintf("at column %d", column+e.indent), 1)
		}
	}
	return located
}

// sendHalves splits a batch that is too large for the server and sends both halves. If a single
// event is too large, the server has kept it as a rejection.
func (s *sender) sendHalves(ctx context.Context, b batch, p *client.Problem) error {
	if len(b.elements) == 1 {
		s.sums.Add(client.Totals{Received: 1, Rejected: 1})
		s.last = &b.elements[0]
		s.reject(b.elements[0], "", []client.EventProblem{{Code: "event_too_large", Message: p.Detail}})
		return nil
	}
	half := len(b.elements) / 2
	for _, part := range [][]element{b.elements[:half], b.elements[half:]} {
		if err := s.send(ctx, batch{elements: part, bytes: b.bytes}); err != nil {
			return err
		}
	}
	return nil
}

// deliver sends one request until the answer is final or retryFor has passed. After ctx is done, it
// retries at most once.
func (s *sender) deliver(ctx context.Context, r client.Request) ([]byte, error) {
	deadline := time.Now().Add(s.retryFor)
	for try := 0; ; try++ {
		ended := ctx.Err() != nil
		answer, err := s.client.Do(context.WithoutCancel(ctx), r, http.StatusUnprocessableEntity)
		if err == nil || !isRetryable(err) {
			return answer, err
		}
		delay := backoff(try, err)
		if ended || time.Now().Add(delay).After(deadline) {
			return nil, fmt.Errorf("given up after %s: %w", tries(try+1), err)
		}
		if try == 0 {
			s.notice(err.Error() + "; trying again")
		}
		_ = s.pause(ctx, delay)
	}
}

func tries(n int) string {
	if n == 1 {
		return "1 try"
	}
	return strconv.Itoa(n) + " tries"
}

// isRetryable reports whether a request that failed with err may succeed later.
func isRetryable(err error) bool {
	var (
		p           *client.Problem
		unreachable *client.UnreachableError
	)
	if errors.As(err, &p) {
		switch p.Status {
		case http.StatusTooManyRequests, http.StatusServiceUnavailable, http.StatusBadGateway, http.StatusGatewayTimeout:
			return true
		}
		return false
	}
	return errors.As(err, &unreachable)
}

// backoff returns how long to wait after the given try, counted from 0. The delay doubles each
// time, half of it is random, and it is never shorter than the server asks for.
func backoff(try int, err error) time.Duration {
	d := min(maxBackoff, firstBackoff<<min(try, 20))
	d = d/2 + rand.N(d/2) //nolint:gosec // spreads retries; not a secret
	if p, ok := errors.AsType[*client.Problem](err); ok {
		d = max(d, retryAfter(p.RetryAfter, time.Now()))
	}
	return d
}

// retryAfter reads the header of RFC 9110 section 10.2.3: seconds or a date.
func retryAfter(text string, now time.Time) time.Duration {
	var d time.Duration
	if seconds, err := strconv.Atoi(text); err == nil {
		d = time.Duration(min(seconds, int(maxAsked/time.Second))) * time.Second
	} else if at, err := http.ParseTime(text); err == nil {
		d = at.Sub(now)
	}
	return min(max(d, 0), maxAsked)
}
