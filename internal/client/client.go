// Package client calls The Eye's API over HTTP, for the command line, the demo and the bench.
//
// A server is reached at an address, through the socket in its data directory, or by a dial
// function. Only this package builds paths. Errors are written for people at a command line: they
// name flags.
package client

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/go-json-experiment/json"

	"theeye/internal/discovery"
)

// Limits of the client side.
const (
	answerTimeout = 60 * time.Second // until the headers of a response, unless the request is Patient
	maxProblem    = 64 << 10         // bytes read of an answer that is an error
)

// Client talks to one server. It is safe for concurrent use.
type Client struct {
	base  string // without a trailing slash
	shown string // where the server is, in messages
	key   string // empty for none
	// temporary is used instead of key, if it is not nil.
	temporary *temporaryKey
	http      *http.Client
	// socket is the data directory whose socket is used; it is empty if the server is reached at an
	// address.
	socket string
	// keyless says what to do if a key is needed and there is none; it may be empty.
	keyless string
	// keyFile holds the key of a server that may not have been started yet; it is read while key is
	// empty. It may be empty itself.
	keyFile string
}

// New returns a client for a server at a URL or at host:port. key may be empty.
func New(base, key string) (*Client, error) {
	if !strings.Contains(base, "://") {
		base = "http://" + base
	}
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, fmt.Errorf("%q is not the URL of a server; use one such as http://127.0.0.1:8080", base)
	}
	base = strings.TrimRight(base, "/")
	t := newTransport((&net.Dialer{Timeout: discovery.DialTimeout}).DialContext)
	t.Proxy = http.ProxyFromEnvironment
	return &Client{base: base, shown: base, key: key, http: &http.Client{Transport: t, CheckRedirect: followReads}}, nil
}

// NewLocal returns a client for the server of a data directory. keyless says what to do if a key is
// needed and key is empty; it may be empty.
func NewLocal(dir, key, keyless string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) { return discovery.Dial(ctx, dir) }
	return &Client{
		base: "http://localhost", shown: filepath.Join(dir, discovery.SocketFile), key: key, keyless: keyless, socket: dir,
		http: &http.Client{Transport: newTransport(dial), CheckRedirect: followReads},
	}
}

// NewDialed returns a client for a server that dial connects to.
func NewDialed(dial func(ctx context.Context, network, address string) (net.Conn, error), key string) *Client {
	return &Client{base: "http://localhost", shown: "this server", key: key, http: &http.Client{Transport: newTransport(dial)}}
}

// WithoutVerification makes the client accept any certificate. It is for a server on this machine
// to which no key is sent: its certificate does not name the loopback address.
func (c *Client) WithoutVerification() {
	if t, ok := c.http.Transport.(*http.Transport); ok {
		t.TLSClientConfig = &tls.Config{InsecureSkipVerify: true} //nolint:gosec // see above
	}
}

// followReads follows redirects only of requests that read: a change must not happen at an address
// other than the requested one.
func followReads(_ *http.Request, via []*http.Request) error {
	if first := via[0].Method; first != http.MethodGet && first != http.MethodHead {
		return http.ErrUseLastResponse
	}
	return nil
}

func newTransport(dial func(ctx context.Context, network, address string) (net.Conn, error)) *http.Transport {
	return &http.Transport{
		DialContext:           dial,
		ResponseHeaderTimeout: answerTimeout,
		MaxIdleConnsPerHost:   8,
		ForceAttemptHTTP2:     true,
	}
}

// What to do about a key that is missing or not valid, and about one of a kind that is not permitted.
const (
	keyAdvice      = "give a valid key with --key or EYE_KEY"
	kindAdvice     = "give a key of that kind with --key or EYE_KEY"
	kindAdviceHere = kindAdvice + ", or neither of them to use the admin key of the server's data directory"
)

// Problem is an error answer (RFC 9457).
type Problem struct {
	Title   string   `json:"title"`
	Status  int      `json:"status"`
	Detail  string   `json:"detail"`
	Reasons []Reason `json:"reasons"` // of a schema that is not compatible
	Code    string   `json:"code"`    // of an error that programs handle
	Common  string   `json:"common"`  // with PositionGone: a position, or empty

	RetryAfter string
	advice     string // what to do; empty unless the key is at fault
}

// Error returns the problem as one line.
func (p *Problem) Error() string {
	text := fmt.Sprintf("the server answered %d %s", p.Status, p.Title)
	if p.Detail != "" {
		text += ": " + p.Detail
	}
	if p.advice != "" {
		text += " (" + p.advice + ")"
	}
	return strings.Join(strings.Fields(text), " ")
}

// readProblem turns an answer into an error, whatever its body is.
func (c *Client) readProblem(r *http.Response) *Problem {
	body, _ := io.ReadAll(io.LimitReader(r.Body, maxProblem))
	p := &Problem{}
	switch {
	case isPage(r):
		p.Detail = pageText(r)
	case json.Unmarshal(body, p) != nil:
		p.Detail = string(body[:min(200, len(body))]) // possibly from a proxy
	}
	p.Status, p.RetryAfter, p.advice = r.StatusCode, r.Header.Get("Retry-After"), c.advice(r.StatusCode, p.Detail)
	p.Detail = asFlags(p.Detail)
	if r.Request != nil && r.Request.URL.Path == FeedPath { // where --to is the receiver of items
		p.Detail = strings.NewReplacer("--to: ", "--until: ", "after --to", "after --until").Replace(p.Detail)
	}
	if p.Title == "" {
		p.Title = http.StatusText(r.StatusCode)
	}
	return p
}

// advice returns what to do when the key is why a request was refused, or nothing.
func (c *Client) advice(status int, detail string) string {
	switch {
	case status == http.StatusUnauthorized && strings.Contains(detail, "requests with this key must be signed"):
		return "sign them with --sign"
	case status == http.StatusUnauthorized:
		return cmp.Or(c.keyless, keyAdvice)
	case status == http.StatusForbidden && strings.Contains(detail, "this key is not permitted here"):
		if c.socket != "" {
			return kindAdviceHere
		}
		return kindAdvice
	}
	return ""
}

// parameter matches how a detail begins that is about a parameter of a query.
var parameter = regexp.MustCompile(`^parameter ([a-z_]+): `)

// asFlags replaces advice for callers over HTTP by the corresponding flags and commands.
func asFlags(detail string) string {
	if found := parameter.FindStringSubmatch(detail); found != nil {
		flag := strings.TrimSuffix(found[1], "_id") // session_id is --session
		if found[1] == "event_id" {
			flag = "event-id"
		}
		detail = strings.TrimPrefix(detail, found[0])
		if flag != "field" { // which an argument names
			detail = "--" + strings.ReplaceAll(flag, "_", "-") + ": " + detail
		}
	}
	return strings.NewReplacer(
		"GET /v1/receipts/{id} shows", "`eye receipt ID` shows",
		"GET /v1/values?field=name lists existing ones", "`eye events` shows those that are stored",
		"find rejections of an event with /v1/rejections?event_id=…", "`eye rejections --event-id ID` lists those of an event",
		"erase=1 erases", "--erase erases",
		"make the key under /v1/apps/{app}/keys", "give that with --app",
		"make the key under /v1/keys", "omit --app",
		"revoke it under /v1/apps/{app}/keys", "give that with --app",
		"revoke it under /v1/keys", "omit --app",
		"a valid key is required, as in Authorization: Bearer KEY", "a valid key is required",
		"--from: it is after to", "--from: it is after --to",
		"this key is valid for a single application; omit app", "this key is valid for a single application; omit --app",
		"applies to rejections only; add kind=rejection", "applies to rejections only; add --kind rejection",
	).Replace(detail)
}

// isPage reports whether an answer is a web page, which no route that commands use returns.
func isPage(r *http.Response) bool {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return kind == "text/html"
}

func pageText(r *http.Response) string {
	return fmt.Sprintf("a web page came from %s, which is not The Eye's API; check --url and the proxies in between", r.Request.URL.Host)
}

// checkAnswer returns an error for an answer whose status is neither 2xx nor among also.
func (c *Client) checkAnswer(r *http.Response, also ...int) error {
	switch {
	case r.StatusCode/100 != 2 && !slices.Contains(also, r.StatusCode):
		return c.readProblem(r)
	case isPage(r):
		return fmt.Errorf("the server answered %d %s: %s", r.StatusCode, http.StatusText(r.StatusCode), pageText(r))
	}
	return nil
}

// Reachable turns an address to listen on into one to call. For a server that listens on all
// addresses, that is the IPv4 loopback, because a container may lack that of IPv6.
func Reachable(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return listen
	}
	switch host {
	case "", "0.0.0.0", "::":
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

// Request is one request of a client.
type Request struct {
	Method, Path   string // the path is escaped
	Query          url.Values
	ContentType    string // of the body; empty for JSON
	Body           []byte // nil for none
	IdempotencyKey string // the Idempotency-Key; empty for none
	LastEventID    string // the id of the last message of a stream that is continued; empty for none
	Patient        bool   // the server may work for minutes before it answers
}

// Do sends a request and returns the whole body of its answer. For any status except 2xx and those
// in also, the error is a *Problem. If there is no answer, or an incomplete one, the error is an
// *UnreachableError.
func (c *Client) Do(ctx context.Context, r Request, also ...int) ([]byte, error) {
	answer, err := c.Open(ctx, r, also...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, c.ConnectionError(ctx, err)
	}
	return body, nil
}

// Open is Do for a body that the caller reads and closes.
func (c *Client) Open(ctx context.Context, r Request, also ...int) (*http.Response, error) {
	target := c.base + r.Path
	if encoded := r.Query.Encode(); encoded != "" {
		target += "?" + encoded
	}
	req, err := http.NewRequestWithContext(ctx, r.Method, target, bytes.NewReader(r.Body))
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	key, err := c.Secret(ctx)
	if err != nil {
		return nil, err
	}
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	if r.IdempotencyKey != "" {
		req.Header.Set("Idempotency-Key", r.IdempotencyKey)
	}
	if r.LastEventID != "" {
		req.Header.Set("Last-Event-ID", r.LastEventID)
	}
	if r.Body != nil {
		if r.ContentType == "" {
			r.ContentType = "application/json"
		}
		req.Header.Set("Content-Type", r.ContentType)
	}
	doer := c.http
	if r.Patient {
		doer = c.Patient().http
	}
	answer, err := doer.Do(req)
	if err != nil {
		return nil, c.ConnectionError(ctx, err)
	}
	if err := c.checkAnswer(answer, also...); err != nil {
		_ = answer.Body.Close()
		return nil, err
	}
	return answer, nil
}

// Server returns where the server is, for messages.
func (c *Client) Server() string { return c.shown }

// Secret returns the key to use now; it is empty if there is none.
func (c *Client) Secret(ctx context.Context) (string, error) {
	if c.temporary != nil {
		return c.temporary.secret(ctx)
	}
	if c.key == "" && c.keyFile != "" {
		if b, err := os.ReadFile(c.keyFile); err == nil {
			return strings.TrimSpace(string(b)), nil
		}
	}
	return c.key, nil
}

// AwaitKey makes the client read its key from a file, which the server writes when it starts, as
// long as it has no other key.
func (c *Client) AwaitKey(name string) { c.keyFile = name }

// UnreachableError is the error of a request whose outcome is unknown, or that was never sent.
type UnreachableError struct {
	Server string
	Err    error
}

func (e *UnreachableError) Error() string {
	if errors.Is(e.Err, syscall.ECONNREFUSED) && strings.Contains(e.Server, "://") {
		return fmt.Sprintf("nothing listens at %s; is the server running?", e.Server)
	}
	reason := e.Err.Error()
	if unknown, ok := errors.AsType[*net.DNSError](e.Err); ok && unknown.IsNotFound {
		reason = fmt.Sprintf("the host %s is not known", unknown.Name)
	}
	return fmt.Sprintf("no answer from %s: %s", e.Server, reason)
}

func (e *UnreachableError) Unwrap() error { return e.Err }

// ConnectionError says why there was no answer, or an incomplete one.
func (c *Client) ConnectionError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("interrupted: %w", ctx.Err())
	}
	if inURL, ok := errors.AsType[*url.Error](err); ok {
		err = inURL.Err // its text repeats method and address
	}
	return &UnreachableError{c.shown, WithoutLocalPort(err)}
}

// WithoutLocalPort returns an error of a connection without the port of this end, which differs in
// each attempt, so that equal failures have equal texts. It returns other errors as they are.
func WithoutLocalPort(err error) error {
	failed, ok := err.(*net.OpError) //nolint:errorlint // the text of an error that wraps one is complete
	if !ok {
		return err
	}
	remote := *failed
	remote.Source = nil
	return &remote
}

// Decode decodes the JSON document that was received from a path.
func Decode(path string, body []byte, into any) error {
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("the answer of %s cannot be read; is this The Eye? %w", path, err)
	}
	return nil
}

// Patient returns the client without a deadline for the first byte: a server writes a whole Parquet
// file before it sends any of it, and exports and erasures wait for others.
func (c *Client) Patient() *Client {
	p := *c
	if transport, ok := c.http.Transport.(*http.Transport); ok {
		transport = transport.Clone()
		transport.ResponseHeaderTimeout = 0
		transport.DisableCompression = true
		p.http = &http.Client{Transport: transport, CheckRedirect: c.http.CheckRedirect}
	}
	return &p
}

// Reason is why a schema is not compatible.
type Reason struct {
	Pointer string `json:"pointer"`
	Reason  string `json:"reason"`
}

// KeyHasPrefix reports whether the client's key begins with a prefix, such as that of a kind of
// key.
func (c *Client) KeyHasPrefix(prefix string) bool { return strings.HasPrefix(c.key, prefix) }

// UseTransport makes the client use another transport. It must be called before the first request.
func (c *Client) UseTransport(t http.RoundTripper) { c.http = &http.Client{Transport: t} }

// URL returns the URL of a path of the server, for callers that make requests of their own.
func (c *Client) URL(path string) string { return c.base + path }

// SocketTransport returns a new transport through the socket of the server's data directory, or nil
// if the server is reached at an address.
func (c *Client) SocketTransport() *http.Transport {
	t, ok := c.http.Transport.(*http.Transport)
	if !ok || c.socket == "" {
		return nil
	}
	return t.Clone()
}
