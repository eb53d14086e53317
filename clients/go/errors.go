package theeye

import (
	"encoding/json"
	"fmt"
	"strings"
)

// A Code says what kind of an [Error] it is.
type Code string

// The codes of errors.
const (
	CodeQueueFull      Code = "queue_full"     // the queue had no room; the events are lost
	CodeUnserializable Code = "unserializable" // the event could not be encoded; it is lost
	CodeTooLarge       Code = "too_large"      // the server refused the event alone with 413; it is lost
	CodeRefused        Code = "refused"        // the server refused the request with another 4xx; its events are lost
	CodeUnauthorized   Code = "unauthorized"   // the server refused the key; events stay queued and are not sent
	CodeUnsent         Code = "unsent"         // Close or a context ended first; the events are lost unless the spool or the caller keeps them
	CodeClosed         Code = "closed"         // tracked after Close; the event is lost
	CodeSpool          Code = "spool"          // events could not be written to the spool; they stay in memory
)

// Error is what OnError gets, and the type of the errors of Track, Send, Flush and Close, except for
// those of their contexts. No text in it contains the key.
type Error struct {
	Code    Code
	Message string
	Events  int // concerned; 0 for an error of Send, whose caller knows
	Status  int // of the server's answer; 0 if there was none
}

// Error returns the code and the message.
func (e *Error) Error() string { return fmt.Sprintf("theeye: %s: %s", e.Code, e.Message) }

// Rejection is an event that the server did not accept, and why.
type Rejection struct {
	ID       string // of the event
	Event    json.RawMessage
	Problems []Problem
}

// Problem is one reason of a rejection. Codes are listed in the server's documentation of its API.
type Problem struct {
	Code    string `json:"code"`
	Pointer string `json:"pointer"` // to the place in the event (RFC 6901)
	Message string `json:"message"`
}

// redacted returns a text without the key.
func redacted(text, key string) string {
	if key == "" {
		return text
	}
	return strings.ReplaceAll(text, key, "[key]")
}
