package event

import (
	_ "embed"
	"errors"
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // zones must not depend on what the machine knows
)

//go:generate go run theeye/internal/event/generate zones.txt

// zoneNames lists the names of the time zones, one per line. Package time can load zones but cannot
// list them.
//
//go:embed zones.txt
var zoneNames string

// LoadZone returns the time zone with an IANA name. It refuses "Local", which differs between
// machines. The error says what is wrong with the name and what to use.
func LoadZone(name string) (*time.Location, error) {
	if name != "" && name != "Local" {
		if zone, err := time.LoadLocation(name); err == nil {
			return zone, nil
		}
		if near := Nearest(name, strings.Fields(zoneNames)); near != "" {
			return nil, fmt.Errorf("not a known time zone; did you mean %q?", near)
		}
	}
	return nil, errors.New("not a known time zone; use an IANA name such as Europe/Berlin")
}
