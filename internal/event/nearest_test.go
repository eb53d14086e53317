package event_test

import (
	"strings"
	"testing"

	"theeye/internal/event"
)

func TestNearest(t *testing.T) {
	t.Parallel()
	names := []string{"shop", "callcenter", "blog", "Überblick", "date-time"}
	for word, want := range map[string]string{
		"shpo": "shop", "SHOP": "shop", "Shpo": "shop", "hsop": "shop", "sho": "shop", "shops": "shop", "shqp": "shop",
		"callcentre": "callcenter", "cal center": "callcenter", "blgo": "blog", "bl": "", "ship it": "",
		"überblcik": "Überblick", "Date-Time": "date-time", "datetime": "date-time", "": "", "posh": "",
		strings.Repeat("shop", 1000): "",
	} {
		if got := event.Nearest(word, names); got != want {
			t.Errorf("%.20q: got %q, want %q", word, got, want)
		}
	}
	for word, want := range map[string]string{"ab": "", "a": "", "Shop": "Shop", "SHOP": "SHOP"} {
		if got := event.Nearest(word, []string{"b", "xy", "SHOP", "Shop", "shop"}); got != want {
			t.Errorf("%q: got %q, want %q", word, got, want)
		}
	}
}
