//go:build !eyefault

package main

// answerFirst is true only in a binary that is built to break promise P1, so
// that the crash test can be seen to notice (see fault_on.go).
const answerFirst = false
