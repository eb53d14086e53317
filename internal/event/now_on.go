//go:build eyefault

package event

import (
	"os"
	"strings"
	"time"
)

// systemNow returns the time of the system clock, moved by the duration in the file that
// EYE_FAULT_CLOCK names. The file may change while the process runs.
func systemNow() time.Time {
	now := time.Now()
	name := os.Getenv("EYE_FAULT_CLOCK")
	if name == "" {
		return now
	}
	text, err := os.ReadFile(name)
	if err != nil {
		panic(err)
	}
	moved, err := time.ParseDuration(strings.TrimSpace(string(text)))
	if err != nil {
		panic(err)
	}
	return now.Round(0).Add(moved)
}
