package demo

import (
	"fmt"
	"strings"

	"theeye/internal/registry"
)

// Check returns an error if the demo would add sample traffic to a data directory that is in use. An application named like the demo's means that someone has agreed to that.
func Check(apps []registry.App) error {
	var others []string
	for _, app := range apps {
		switch app.Name {
		case guestApp:
			return nil
		default:
			others = append(others, app.Name)
		}
	}
	return fmt.Errorf("this data directory is in use already (%s), and --demo would fill another one, %s, with sample traffic: "+
		"give the demo a directory of its own with --data; or, if you want it here, start without --demo, create its application with `eye apps create %[2]s`, and start with --demo again",
		strings.Join(others[:min(len(others), 3)], ", "), guestApp)
}
