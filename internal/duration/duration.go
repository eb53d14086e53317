// Package duration parses and formats the durations of settings: Go's form and whole days.
//
// It supports neither months nor years.
package duration

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const day = 24 * time.Hour

// Parse parses a duration in Go's form (90s, 1h30m) or in whole days (30d). The error says what to
// write.
func Parse(text string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.ParseInt(days, 10, 64)
		if err == nil && n >= 0 && n <= int64(math.MaxInt64/day) {
			return time.Duration(n) * day, nil
		}
	} else if d, err := time.ParseDuration(text); err == nil {
		return d, nil
	}
	if regexp.MustCompile(`^([0-9]+d|([0-9]+(\.[0-9]*)?(ns|us|µs|ms|s|m|h))+)$`).MatchString(text) {
		return 0, fmt.Errorf("%.40q is too long; use at most %dd", text, int64(math.MaxInt64/day))
	}
	return 0, fmt.Errorf("%.40q is not a valid duration; use a number and a unit, such as 90s, 5m, 168h or 30d", text)
}

// Format formats a duration for people, in a form that Parse accepts: in whole days from two days
// on, otherwise to the second.
func Format(d time.Duration) string {
	if d >= 2*day {
		return strconv.FormatInt(int64(d/day), 10) + "d"
	}
	text := d.Round(time.Second).String()
	if d < time.Second {
		return d.String()
	}
	if short, ok := strings.CutSuffix(text, "m0s"); ok {
		text = short + "m"
	}
	if short, ok := strings.CutSuffix(text, "h0m"); ok {
		text = short + "h"
	}
	return text
}
