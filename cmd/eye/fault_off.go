//go:build !eyefault

package main

import "theeye/internal/ingest"

// publisher returns publish itself, except in a binary that is built to break promise P1; see
// fault_on.go.
func publisher(publish ingest.Publisher) ingest.Publisher { return publish }

// storeStep returns nil, except in a binary that is built to fail; see fault_on.go.
func storeStep() func(string) error { return nil }
