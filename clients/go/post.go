package theeye

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	jsonType        = "application/json"
	leastCompressed = 1 << 10  // smaller bodies are sent as they are
	maxAnswer       = 16 << 20 // bytes of an answer that are read
)

// outcome is what an answer means for the events of a request.
type outcome int

const (
	again outcome = iota // the request is to be repeated
	taken
	tooLarge
	refused
	unauthorized
)

// answer is what came of one attempt.
type answer struct {
	outcome outcome
	status  int           // of HTTP; 0 without an answer
	delay   time.Duration // that the server asked for; 0 for none
	message string        // what went wrong
	taken   Answer
}

// poster makes requests.
type poster struct {
	client       http.Client
	now          now
	url, key     string
	timeout      time.Duration
	signingKey   []byte // nil for requests that are not signed
	uncompressed bool
	body         bytes.Buffer
	packed       bytes.Buffer
	gzip         *gzip.Writer
}

func newPoster(o *Options) *poster {
	p := &poster{
		client: http.Client{
			Transport:     o.Transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		now: o.now, url: o.URL + "/v1/events?quiet=1", key: o.Key, timeout: o.RequestTimeout, uncompressed: o.Uncompressed,
	}
	p.gzip, _ = gzip.NewWriterLevel(&p.packed, gzip.BestSpeed) // a valid level
	if o.Sign {
		mac := hmac.New(sha256.New, []byte(o.Key))
		_, _ = mac.Write([]byte("theeye signing")) // never fails
		p.signingKey = mac.Sum(nil)
	}
	return p
}

// end closes connections that are kept open.
func (p *poster) end() { p.client.CloseIdleConnections() }

// request is what is the same in every attempt.
type request struct {
	id           string // of a signed request
	key          string // the Idempotency-Key of one that is not signed; empty for none
	contentType  string
	untilVisible bool // the answer is to wait until the events can be queried
}

// newRequest returns a request with encoded events.
func (p *poster) newRequest() request {
	wall, _ := p.now()
	return request{id: newUUID(wall), contentType: jsonType}
}

// send makes one attempt.
func (p *poster) send(ctx context.Context, r request, body []byte) answer {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	made, err := p.make(ctx, r, body)
	if err != nil {
		return p.failed(err)
	}
	response, err := p.client.Do(made)
	if err != nil {
		return p.failed(err)
	}
	defer func() { _ = response.Body.Close() }()
	answered, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return p.failed(err)
	}
	return p.read(response, answered)
}

// join returns the body of a request with encoded events. It is valid until the next call.
func (p *poster) join(events []entry, sentAt time.Time) []byte {
	p.body.Reset()
	p.body.WriteString(`{"sent_at":"` + sentAt.UTC().Format(timeFormat) + `","events":[`)
	for i, e := range events {
		if i > 0 {
			p.body.WriteByte(',')
		}
		p.body.Write(e.event)
	}
	p.body.WriteString("]}")
	return p.body.Bytes()
}

// make returns the HTTP request for one attempt.
func (p *poster) make(ctx context.Context, r request, body []byte) (*http.Request, error) {
	encoding := ""
	if len(body) >= leastCompressed && !p.uncompressed {
		p.packed.Reset()
		p.gzip.Reset(&p.packed)
		_, _ = p.gzip.Write(body) // a buffer never fails
		_ = p.gzip.Close()
		body, encoding = p.packed.Bytes(), "gzip"
	}
	body = bytes.Clone(body) // a transport may read it for longer than the attempt lasts
	target := p.url
	if r.untilVisible {
		target += "&wait=stored"
	}
	made, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	made.Header.Set("Authorization", "Bearer "+p.key)
	made.Header.Set("Content-Type", r.contentType)
	if encoding != "" {
		made.Header.Set("Content-Encoding", encoding)
	}
	switch {
	case p.signingKey != nil:
		p.sign(made, r.id, body)
	case r.key != "":
		made.Header.Set("Idempotency-Key", r.key)
	}
	return made, nil
}

// sign adds the headers of Standard Webhooks (https://www.standardwebhooks.com) to a request.
func (p *poster) sign(made *http.Request, id string, body []byte) {
	wall, _ := p.now()
	at := strconv.FormatInt(wall.Unix(), 10)
	mac := hmac.New(sha256.New, p.signingKey)
	_, _ = mac.Write([]byte(id + "." + at + ".")) // never fails
	_, _ = mac.Write(body)
	made.Header.Set("Webhook-Id", id)
	made.Header.Set("Webhook-Timestamp", at)
	made.Header.Set("Webhook-Signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
}

// failed returns what a request without an answer means.
func (p *poster) failed(err error) answer {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err // without the URL, which may hold a password
	}
	if failed, ok := err.(*net.OpError); ok { //nolint:errorlint // what wraps one has another text
		remote := *failed
		remote.Source = nil // the port of this end, which differs in each attempt
		err = &remote
	}
	return answer{message: redacted(err.Error(), p.key)}
}

// read returns what an answer means.
func (p *poster) read(r *http.Response, body []byte) answer {
	a := answer{message: p.message(r, body), status: r.StatusCode}
	switch status := r.StatusCode; {
	case status >= 200 && status < 300:
		if a.taken.decode(body) {
			a.outcome = taken
		}
	case status == http.StatusRequestTimeout, status == http.StatusTooManyRequests, status >= 500:
		a.delay = p.retryAfter(r.Header)
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		a.outcome = unauthorized
	case status == http.StatusRequestEntityTooLarge:
		a.outcome = tooLarge
	case status == http.StatusUnprocessableEntity && a.taken.decode(body): // a single event was rejected
		a.outcome = taken
	case status >= 400:
		a.outcome = refused
	}
	return a
}

// message returns an answer in words: the status, and the detail of a problem document.
func (p *poster) message(r *http.Response, body []byte) string {
	var problem struct {
		Detail string `json:"detail"`
	}
	text := strings.TrimSpace(fmt.Sprintf("the server answered %d %s", r.StatusCode, http.StatusText(r.StatusCode)))
	switch kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); {
	case kind == "text/html":
		text += ": a web page, which The Eye does not send; check the URL and the proxies in between"
	case json.Unmarshal(body, &problem) == nil && problem.Detail != "":
		text += ": " + problem.Detail
	}
	return redacted(text, p.key)
}

// retryAfter reads the header of RFC 9110, section 10.2.3: seconds, or a date, which is compared with
// that of the answer. It returns 0 for a header that is missing, invalid or not in the future.
func (p *poster) retryAfter(h http.Header) time.Duration {
	text := h.Get("Retry-After")
	if seconds, err := strconv.ParseUint(text, 10, 63); err == nil {
		return time.Duration(min(seconds, uint64(maxAskedFor/time.Second))) * time.Second
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	from, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		from, _ = p.now()
	}
	return min(max(0, at.Sub(from)), maxAskedFor)
}
