//go:build !eyefault

package node

import "theeye/internal/ingest"

// publisher returns publish itself, except in a binary that is built to break promise P1; see
// fault_on.go.
func publisher(publish ingest.Publisher) ingest.Publisher { return publish }

// FaultStep returns nil, except in a binary that is built to fail; see fault_on.go.
func FaultStep() func(string) error { return nil }
