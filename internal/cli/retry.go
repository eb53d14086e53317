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
	maxBackoff   = 30 * time.Second
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
