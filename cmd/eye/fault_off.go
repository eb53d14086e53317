//go:build !eyefault

package main

// answerFirst is true only in a binary that is built to break promise P1, so
// that the crash test can be seen to notice (see fault_on.go).
const answerFirst = false

// storeStep is nothing but in a binary that is built to fail (see fault_on.go).
func storeStep() func(string) error { return nil }
