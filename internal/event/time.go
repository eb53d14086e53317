package event

import (
	"errors"
	"math/big"
	"strconv"
	"strings"
	"time"
)

// Micros is a time as microseconds since 1970-01-01T00:00:00 UTC.
type Micros int64

// Earliest and Latest bound the accepted times: 1970 inclusive to 2200 exclusive.
const (
	Earliest Micros = 0
	Latest   Micros = 7258118400_000000
)

// Errors of ParseTime and ParseEpoch.
var (
	ErrUnparsable = errors.New("not a valid time: use RFC 3339, 2006-01-02 15:04:05[.ffffff], or a number of s, ms, µs or ns since 1970")
	ErrOutOfRange = errors.New("outside the years 1970 to 2199 (UTC)")
)

// Now returns the time of the system clock.
func Now() Micros { return Micros(systemNow().UnixMicro()) }

// Time returns m as a time in UTC.
func (m Micros) Time() time.Time { return time.UnixMicro(int64(m)).UTC() }

// Sub returns the time from o to m.
func (m Micros) Sub(o Micros) time.Duration { return time.Duration(m-o) * time.Microsecond }

// String returns m in RFC 3339 with six digits of a second, in UTC.
func (m Micros) String() string { return m.Time().Format("2006-01-02T15:04:05.000000Z") }

// ParseTime parses RFC 3339 or "2006-01-02 15:04:05[.ffffff]". Both may lack a zone; loc is then
// used. Digits beyond microseconds are truncated. Nothing is guessed: the error for anything else
// is ErrUnparsable.
//
// If a local time occurs twice, because clocks are set back, the earlier one is used. If it never
// occurs, because they are set forward, it is moved forward by the same amount, as in java.time,
// RFC 5545 and Temporal ("compatible").
func ParseTime(text string, loc *time.Location) (Micros, error) {
	c, ok := scanClock(text)
	if !ok {
		return 0, ErrUnparsable
	}
	t := c.utc()
	if !c.zoned {
		t = localTime(t, loc)
	}
	if c.second == 60 {
		if u := t.UTC(); u.Hour() != 23 || u.Minute() != 59 {
			return 0, ErrUnparsable // a leap second ends a UTC day
		}
		t = t.Add(time.Second)
	}
	return inRange(t)
}

// ParseSentTime parses a time that ParseTime accepts, in UTC if it has no zone.
func ParseSentTime(text string) (Micros, error) {
	c, ok := scanClock(text)
	if !ok {
		return 0, ErrUnparsable
	}
	t := c.utc()
	if c.second == 60 { // ParseTime has checked that it ends a UTC day
		t = t.Add(time.Second)
	}
	return inRange(t)
}

// NamesZone reports whether a text that ParseTime accepts contains a zone.
func NamesZone(text string) bool {
	c, ok := scanClock(text)
	return ok && c.zoned
}

// utc returns the time by its offset, or in UTC without one; a leap second becomes the second
// before it.
func (c clock) utc() time.Time {
	return time.Date(c.year, time.Month(c.month), c.day, c.hour, c.minute-c.offset, min(c.second, 59), c.micro*1000, time.UTC)
}

// localTime returns the time at which clocks in loc show what clocks in UTC show at u. time.Date
// does not specify which one it uses if there are two or none.
func localTime(u time.Time, loc *time.Location) time.Time {
	// A day is longer than any offset, and any change of an offset.
	before, after := offset(u.Add(-day), loc), offset(u.Add(day), loc)
	first, second := u.Add(-before), u.Add(-after)
	if before == after { // on most days
		return first
	}
	shown := offset(second, loc) == after
	if shown && (second.Before(first) || offset(first, loc) != before) {
		return second
	}
	return first
}

func offset(t time.Time, loc *time.Location) time.Duration {
	_, seconds := t.In(loc).Zone()
	return time.Duration(seconds) * time.Second
}

func inRange(t time.Time) (Micros, error) {
	m := Micros(t.UnixMicro())
	if m < Earliest || m >= Latest {
		return 0, ErrOutOfRange
	}
	return m, nil
}

// clock holds the parts of a time as it is written.
type clock struct {
	year, month, day, hour, minute, second, micro int
	zoned                                         bool
	offset                                        int // minutes east of UTC
}

func scanClock(s string) (clock, bool) {
	var c clock
	ok := true
	digits := func(n int) int {
		if len(s) < n {
			ok = false
			return 0
		}
		v := 0
		for i := range n {
			d := s[i] - '0'
			if d > 9 {
				ok = false
				return 0
			}
			v = v*10 + int(d)
		}
		s = s[n:]
		return v
	}
	one := func(set string) byte {
		if s == "" || !strings.ContainsRune(set, rune(s[0])) {
			ok = false
			return 0
		}
		b := s[0]
		s = s[1:]
		return b
	}
	c.year = digits(4)
	one("-")
	c.month = digits(2)
	one("-")
	c.day = digits(2)
	one("Tt ")
	c.hour = digits(2)
	one(":")
	c.minute = digits(2)
	one(":")
	c.second = digits(2)
	if !ok || c.month < 1 || c.month > 12 || c.day < 1 || c.day > daysIn(c.year, c.month) ||
		c.hour > 23 || c.minute > 59 || c.second > 60 {
		return c, false
	}
	if s != "" && s[0] == '.' {
		n := 1
		for n < len(s) && s[n] >= '0' && s[n] <= '9' {
			n++
		}
		if n == 1 {
			return c, false
		}
		fraction := (s[1:n] + "000000")[:6]
		c.micro, _ = strconv.Atoi(fraction)
		s = s[n:]
	}
	if s == "" {
		return c, true
	}
	c.zoned = true
	switch sign := one("Zz+-"); sign {
	case '+', '-':
		h := digits(2)
		one(":")
		m := digits(2)
		if h > 23 || m > 59 {
			return c, false
		}
		c.offset = h*60 + m
		if sign == '-' {
			c.offset = -c.offset
		}
	}
	return c, ok && s == ""
}

func daysIn(year, month int) int {
	return time.Date(year, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

// ParseEpoch parses the literal of a JSON number as a time since 1970: in seconds below 1e11, in
// milliseconds below 1e14, in microseconds below 1e17, and otherwise in nanoseconds. It truncates
// to microseconds. The caller must have checked the exponent: one of a million would be computed.
func ParseEpoch(literal string) (Micros, error) {
	r := new(big.Rat)
	if n, err := strconv.ParseInt(literal, 10, 64); err == nil {
		r.SetInt64(n)
	} else if _, ok := r.SetString(literal); !ok {
		return 0, ErrUnparsable
	}
	size := new(big.Rat).Abs(r)
	below := func(limit int64) bool { return size.Cmp(new(big.Rat).SetInt64(limit)) < 0 }
	switch {
	case below(1e11):
		r.Mul(r, big.NewRat(1_000_000, 1))
	case below(1e14):
		r.Mul(r, big.NewRat(1_000, 1))
	case below(1e17):
	default:
		r.Mul(r, big.NewRat(1, 1_000))
	}
	if r.Sign() < 0 {
		return 0, ErrOutOfRange
	}
	whole := new(big.Int).Quo(r.Num(), r.Denom())
	if !whole.IsInt64() || whole.Int64() >= int64(Latest) {
		return 0, ErrOutOfRange
	}
	return Micros(whole.Int64()), nil
}
