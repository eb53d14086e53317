//go:build !eyefault

package event

import "time"

// systemNow is the system's clock but in a binary that is built to fail (see
// now_on.go).
func systemNow() time.Time { return time.Now() }
