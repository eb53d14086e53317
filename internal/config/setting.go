package config

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode"

	"theeye/internal/duration"
	"theeye/internal/registry"
	"theeye/internal/store/duckdb"
)

// The functions below parse the text of one setting. Their errors complete a sentence that begins
// with the setting's name, and say what to do.

func setText(to *string, text string) error {
	*to = text
	return nil
}

func setRequired(to *string, text string) error {
	if text == "" {
		return errors.New("is empty; give a path")
	}
	*to = text
	return nil
}

func setListen(to *string, text string) error {
	if text == "" {
		return errors.New("is empty; use host:port, such as 127.0.0.1:8080")
	}
	return setAddress(to, text)
}

// setAddress parses host:port; an empty text means none.
func setAddress(to *string, text string) error {
	if text == "" {
		return nil
	}
	_, port, err := net.SplitHostPort(text)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return fmt.Errorf("%q is not a valid address; use host:port, such as 127.0.0.1:8080", text)
	}
	*to = text
	return nil
}

// setNetworks parses networks and single addresses, separated by commas.
func setNetworks(to *[]netip.Prefix, text string) error {
	if text == "" {
		return nil
	}
	var networks []netip.Prefix
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		network, err := netip.ParsePrefix(part)
		if err != nil {
			var one netip.Addr
			if one, err = netip.ParseAddr(part); err == nil {
				network = netip.PrefixFrom(one, one.BitLen())
			}
		}
		if err != nil {
			return fmt.Errorf("%q is not a valid network; use networks or addresses separated by commas, such as 10.0.0.0/8,192.0.2.7", part)
		}
		networks = append(networks, network.Masked())
	}
	*to = networks
	return nil
}

func setApp(to *string, text string) error {
	if invalid, ok := errors.AsType[*registry.InvalidError](registry.CheckAppName(text)); ok && text != "" {
		return errors.New(invalid.Reason)
	}
	*to = text
	return nil
}

// minAdminKey makes a key hard to guess: 128 bits in hex are 32 characters.
const minAdminKey = 32

func setAdminKey(to *string, text string) error {
	if text == "" {
		return nil
	}
	if len(text) < minAdminKey || strings.ContainsFunc(text, func(r rune) bool { return r > unicode.MaxASCII || !unicode.IsGraphic(r) || r == ' ' }) {
		return fmt.Errorf("is too short or has characters that are not allowed; use at least %d ASCII characters without spaces, or leave it out to have one created", minAdminKey)
	}
	*to = text
	return nil
}

func setEmbedded(to *string, text string) error {
	if text != "" {
		return fmt.Errorf("%q is not available; only the embedded one exists so far, so leave it out", text)
	}
	*to = text
	return nil
}

func setCount(to *int, text string) error {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > 1_000_000 {
		return fmt.Errorf("%q is not valid; use a whole number from 1 to 1000000", text)
	}
	*to = n
	return nil
}

func setRows(to *int64, text string) error {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 1 || n > 16_000_000 {
		return fmt.Errorf("%q is not valid; use a whole number from 1 to 16000000", text)
	}
	*to = n
	return nil
}

// SetSize parses a size such as 4MiB into bytes. least is the smallest size allowed.
func SetSize(to *int64, text string, least int64) error {
	n, err := parseSize(text)
	if err != nil {
		return err
	}
	if n < least {
		return fmt.Errorf("%q is too small; use at least %s", text, sizeSetting(least))
	}
	*to = n
	return nil
}

// setStoreMemory accepts 0, or enough memory to flush, merge and erase events of the maximum size.
func setStoreMemory(to *int64, text string) error {
	if n, err := parseSize(text); err != nil || n == 0 {
		*to = 0
		return err
	}
	return SetSize(to, text, duckdb.MinMemory)
}

// parseSize parses 4MiB, 512KiB, 8GiB or plain bytes.
func parseSize(text string) (int64, error) {
	digits := strings.TrimRightFunc(text, func(r rune) bool { return !unicode.IsDigit(r) })
	var shift int
	switch unit := strings.TrimSpace(text[len(digits):]); unit {
	case "", "B":
	case "KiB":
		shift = 10
	case "MiB":
		shift = 20
	case "GiB":
		shift = 30
	case "TiB":
		shift = 40
	default:
		return 0, fmt.Errorf("%q is not a valid size; use bytes, or a number with KiB, MiB or GiB, such as 4MiB", text)
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 0 || n > math.MaxInt64>>shift {
		return 0, fmt.Errorf("%q is not a valid size; use bytes, or a number with KiB, MiB or GiB, such as 4MiB", text)
	}
	return n << shift, nil
}

// sizeSetting formats a size like a setting: in MiB if it is a whole number of them.
func sizeSetting(n int64) string {
	if n > 0 && n%(1<<20) == 0 {
		return fmt.Sprintf("%dMiB", n>>20)
	}
	return strconv.FormatInt(n, 10)
}

func setDuration(to *time.Duration, text string, least time.Duration) error {
	d, err := duration.Parse(text)
	if err != nil {
		return err
	}
	if d < least {
		return fmt.Errorf("%q is too short; use at least %s", text, duration.Format(least))
	}
	*to = d
	return nil
}

// setRetain parses a duration, or 0 for forever.
func setRetain(to *time.Duration, text string) error {
	if text == "0" {
		*to = 0
		return nil
	}
	return setDuration(to, text, time.Minute)
}

func setLevel(to *slog.Level, text string) error {
	if err := to.UnmarshalText([]byte(text)); err != nil {
		return fmt.Errorf("%q is not a log level; use debug, info, warn or error", text)
	}
	return nil
}

func setBool(to *bool, text string) error {
	b, err := strconv.ParseBool(text)
	if err != nil {
		return fmt.Errorf("%q is not valid; use true or false", text)
	}
	*to = b
	return nil
}
