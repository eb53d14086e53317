// Package theeye sends events to The Eye, a service that collects events of applications.
//
//	client, err := theeye.New(theeye.Options{URL: "https://eye.example.com", Key: key})
//	…
//	err = client.Track(theeye.Event{Category: "order", Name: "paid", Data: map[string]any{"total": 12}})
//	…
//	err = client.Close(ctx)
//
// [Client.Track] encodes the event, puts it into a bounded queue and returns. A goroutine sends what
// is queued in batches, one request at a time, and repeats a request until it is answered. Events
// keep their order and their ids, so the server stores each one once.
//
// The queue is in memory. With [Options.Spool] it is also on disk, and what a process did not send
// is sent by the next one.
package theeye

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Options describe a client. URL and Key are required; every other field has a default.
type Options struct {
	URL string // of the server, such as https://eye.example.com
	Key string // a write key

	// QueueEvents and QueueBytes bound what waits in memory: 10,000 events and 16 MiB of encoded
	// events. An event that does not fit is dropped and reported as CodeQueueFull.
	QueueEvents int
	QueueBytes  int

	// A request is sent when it holds BatchEvents events (200) or BatchBytes bytes (1 MiB), and at the
	// latest BatchDelay (500 ms) after its first event. A larger event is sent alone.
	BatchEvents int
	BatchBytes  int
	BatchDelay  time.Duration

	// RequestTimeout (30 s) is how long a request may take before it is repeated.
	RequestTimeout time.Duration

	// SessionID is the session of events that name none. The default is a new UUID.
	SessionID string

	// OnError is called when events were lost, or cannot be sent or kept at present. OnRejected is
	// called for each event that the server rejected; the sender waits until it returns. OnOutage is
	// called with the cause when a request has failed and is to be repeated, again when the cause
	// changes, and with "" when the server answers again. They are called one at a time, from a
	// goroutine of the client, never within Track. A panic in them is ignored. They must not call
	// Flush or Close.
	OnError    func(*Error)
	OnRejected func(Rejection)
	OnOutage   func(cause string)

	// Sign signs each request, which keys made with --signing need. The clock of this machine must
	// not be off by more than five minutes.
	Sign bool

	// Uncompressed sends bodies as they are. By default those of 1 KiB and more are compressed with
	// gzip, which costs more than it saves to a server on the same machine.
	Uncompressed bool

	// Transport makes the requests. The default is a copy of http.DefaultTransport.
	Transport http.RoundTripper

	// Spool names a folder in which events are kept until they are settled. It is made, in a folder
	// that exists. One client at a time can use it. The default is none: events are in memory only.
	Spool string

	// SpoolBytes bounds the size of the spool: 256 MiB. Events that exceed it wait in memory.
	SpoolBytes int64

	// SpoolSync makes Track wait until its event is on disk. Track then also returns the errors
	// CodeQueueFull, and CodeSpool when the event is in memory only.
	SpoolSync bool

	now    now                                    // the clock; nil for that of the system
	create func(name string) (segmentFile, error) // makes a file of the spool; nil for one on disk
}

// checked returns the options with defaults in place of zeros.
func (o Options) checked() (Options, error) {
	u, err := url.Parse(o.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return o, fmt.Errorf("theeye: %q is not a valid URL of a server; it looks like https://eye.example.com", redacted(o.URL, o.Key))
	}
	o.URL = strings.TrimRight(o.URL, "/")
	if o.Key == "" {
		return o, errors.New("theeye: a write key is required")
	}
	if strings.ContainsFunc(o.Key, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return o, errors.New("theeye: the key is not valid: it contains spaces or special characters")
	}
	for _, option := range []struct {
		name         string
		value        *int
		defaultValue int
	}{
		{"QueueEvents", &o.QueueEvents, 10_000},
		{"QueueBytes", &o.QueueBytes, 16 << 20},
		{"BatchEvents", &o.BatchEvents, 200},
		{"BatchBytes", &o.BatchBytes, 1 << 20},
	} {
		if *option.value < 0 {
			return o, fmt.Errorf("theeye: %s must not be negative", option.name)
		}
		if *option.value == 0 {
			*option.value = option.defaultValue
		}
	}
	if o.BatchDelay < 0 || o.RequestTimeout < 0 || o.SpoolBytes < 0 {
		return o, errors.New("theeye: BatchDelay, RequestTimeout and SpoolBytes must not be negative")
	}
	if o.BatchDelay == 0 {
		o.BatchDelay = 500 * time.Millisecond
	}
	if o.RequestTimeout == 0 {
		o.RequestTimeout = 30 * time.Second
	}
	if o.SpoolBytes == 0 {
		o.SpoolBytes = 256 << 20
	}
	if o.SpoolSync && o.Spool == "" {
		return o, errors.New("theeye: SpoolSync needs a Spool")
	}
	if o.now == nil {
		o.now = systemClock()
	}
	if o.create == nil {
		o.create = createSegment
	}
	if o.SessionID == "" {
		wall, _ := o.now()
		o.SessionID = newUUID(wall)
	}
	if o.Transport == nil {
		o.Transport = http.DefaultTransport
		if t, ok := http.DefaultTransport.(*http.Transport); ok {
			o.Transport = t.Clone()
		}
	}
	return o, nil
}
