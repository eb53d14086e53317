//go:build eyefault

package main

const answerFirst = true
