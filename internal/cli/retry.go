package cli

import (
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"theeye/internal/client"
)

// Delays between the attempts of one request.
const (
	firstBackoff = 200 * time.Millisecond
	maxBackoff   = 10 * time.Second
	maxAsked     = 5 * time.Minute // the longest Retry-After that is honoured
)

func attempts(n int) string {
	if n == 1 {
		return "1 attempt"
	}
	return strconv.Itoa(n) + " attempts"
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

// answersAgain is the text of the end of an outage.
const answersAgain = "the server answers again"

// outage reports why requests fail, each cause once, and that they succeed again.
type outage struct {
	notice func(text string)
	cause  string // that was reported last; empty if all is well
	ended  string // the cause that is not reported again yet; empty for none
}

// failed reports a failure that is followed by another try.
func (o *outage) failed(err error) {
	if text := err.Error(); text != o.cause && text != o.ended {
		o.cause, o.ended = text, ""
		o.notice(text + "; trying again")
	}
}

// resumed reports with a text that a try has succeeded, if a failure was reported. The same failure
// is reported again only after over.
func (o *outage) resumed(text string) {
	if o.cause != "" {
		o.cause, o.ended = "", o.cause
		o.notice(text)
	}
}

// over is resumed for a success that lasts.
func (o *outage) over(text string) {
	o.resumed(text)
	o.ended = ""
}
