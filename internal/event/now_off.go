//go:build !eyefault

package event

import "time"

// systemNow returns the time of the system clock. Binaries for fault tests have another one; see
// now_on.go.
func systemNow() time.Time { return time.Now() }
