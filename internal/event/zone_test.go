package event_test

import (
	"os"
	"strings"
	"testing"

	"theeye/internal/event"
)

func TestLoadZone(t *testing.T) {
	t.Parallel()
	const advice = "not a known time zone; use an IANA name such as Europe/Berlin"
	for name, want := range map[string]string{
		"": advice, "Local": advice, "../etc/passwd": advice, "+02:00": advice, "Middle-earth/Shire": advice,
		"America/Los_Angels": `not a known time zone; did you mean "America/Los_Angeles"?`,
		"Europe/Berlino":     `not a known time zone; did you mean "Europe/Berlin"?`,
		"Eruope/Berlin":      `not a known time zone; did you mean "Europe/Berlin"?`,
	} {
		if z, err := event.LoadZone(name); err == nil || err.Error() != want {
			t.Errorf("%q: %v, %v, want %s", name, z, err, want)
		}
	}
}

// Every zone whose name may be suggested can be loaded.
func TestZoneNames(t *testing.T) {
	t.Parallel()
	names, err := os.ReadFile("zones.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range strings.Fields(string(names)) {
		if _, err := event.LoadZone(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
