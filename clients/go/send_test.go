package theeye

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const oneEvent = `{"events":[{"id":"e"}]}`

func TestSendReturnsTheAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rejected := `{"received":1,"accepted":0,"rejected":1,"duplicates":0,"events":[{"index":0,"id":"e","status":"rejected","problems":[{"code":"c","pointer":"/p","message":"m"}]}]}`
		duplicate := `{"received":1,"accepted":0,"rejected":0,"duplicates":1,"events":[{"index":0,"id":"e","status":"duplicate"}]}`
		server := newFakeServer([]contractAnswer{
			{Status: 503, Headers: map[string]string{"Retry-After": "7"}}, {Error: "reset"},
			{Status: 201, Body: &duplicate}, {Status: 422, Body: &rejected},
		})
		client, recorded := newTestClient(t, server, Options{})
		defer closeNow(client)
		var retries []string
		start := time.Now()
		answer, err := client.Send(t.Context(), Batch{Body: []byte(oneEvent), ID: "batch", OnRetry: func(err *Error) { retries = append(retries, err.Message) }})
		if err != nil || answer.Received != 1 || answer.Duplicates != 1 || len(answer.Events) != 1 || answer.Events[0].Status != "duplicate" {
			t.Errorf("%+v, %v", answer, err)
		}
		if waited := time.Since(start); waited < 7200*time.Millisecond || waited > 7400*time.Millisecond {
			t.Errorf("answered after %s", waited)
		}
		if got := strings.Join(retries, "; "); got != "the server answered 503 Service Unavailable; connection reset by peer; key [key]" {
			t.Error(got)
		}
		for _, r := range server.received() {
			if string(r.body) != oneEvent || r.header.Get("Idempotency-Key") != "batch" || r.header.Get("Content-Type") != "application/json" {
				t.Errorf("%s %v", r.body, r.header)
			}
		}
		answer, err = client.Send(t.Context(), Batch{Body: []byte(oneEvent), ContentType: "application/x-ndjson"})
		if err != nil || answer.Rejected != 1 || answer.Events[0].Status != StatusRejected || answer.Events[0].Problems[0] != (Problem{"c", "/p", "m"}) {
			t.Errorf("%+v, %v", answer, err)
		}
		if last := server.received()[3].header; last.Get("Content-Type") != "application/x-ndjson" || len(last.Get("Idempotency-Key")) != 36 {
			t.Error(last)
		}
		if codes := recorded.codes(); len(codes) != 0 || client.Stats() != (Stats{}) {
			t.Errorf("callbacks %v, %+v", codes, client.Stats())
		}
	})
}

func TestSendFails(t *testing.T) {
	page := "<html>"
	for name, tc := range map[string]struct {
		answer contractAnswer
		code   Code
		text   string
	}{
		"too large":       {contractAnswer{Status: 413}, CodeTooLarge, "the server answered 413 Request Entity Too Large"},
		"refused":         {contractAnswer{Status: 400}, CodeRefused, "the server answered 400 Bad Request"},
		"unauthorized":    {contractAnswer{Status: 403}, CodeUnauthorized, "the server answered 403 Forbidden"},
		"a redirect":      {contractAnswer{Status: 307}, CodeRefused, "the server answered 307 Temporary Redirect"},
		"a page":          {contractAnswer{Status: 200, Body: &page, Headers: map[string]string{"Content-Type": "text/html; charset=utf-8"}}, CodeRefused, "the server answered 200 OK: a web page, which The Eye does not send; check the URL and the proxies in between"},
		"an odd status":   {contractAnswer{Status: 299, Body: &page}, CodeRefused, "the server answered 299"},
		"an empty answer": {contractAnswer{Status: 422, Body: &page}, CodeRefused, "the server answered 422 Unprocessable Entity"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, _ := newTestClient(t, newFakeServer([]contractAnswer{tc.answer}), Options{})
				defer closeNow(client)
				_, err := client.Send(t.Context(), Batch{Body: []byte(oneEvent)})
				failed, ok := errors.AsType[*Error](err)
				if !ok || failed.Code != tc.code || failed.Message != tc.text || failed.Status != tc.answer.Status {
					t.Errorf("%v", err)
				}
			})
		})
	}
}

// When the context ends, the attempt under way is finished, and one that waits is the last.
func TestSendUntilItsContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newFakeServer([]contractAnswer{{Status: 503, Headers: map[string]string{"Retry-After": "60"}}, {Status: 503}, {Status: 202, AfterMS: 5000}})
		client, _ := newTestClient(t, server, Options{})
		defer closeNow(client)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := client.Send(ctx, Batch{Body: []byte(oneEvent)})
		if codeOf(err) != CodeUnsent || !strings.Contains(err.Error(), "given up after 2 attempts: the server answered 503") || len(server.received()) != 2 {
			t.Errorf("%v after %d requests", err, len(server.received()))
		}
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if answer, err := client.Send(ctx, Batch{Body: []byte(oneEvent)}); err != nil || answer.Accepted != 1 || ctx.Err() == nil {
			t.Errorf("%+v, %v", answer, err)
		}
	})
}

func TestSendAfterClose(t *testing.T) {
	client, _ := newTestClient(t, newFakeServer(accepts), Options{})
	defer closeNow(client)
	closeNow(client)
	if _, err := client.Send(t.Context(), Batch{Body: []byte(oneEvent)}); codeOf(err) != CodeClosed {
		t.Error(err)
	}
}

// A signed request is named by its webhook-id alone.
func TestSendSigned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newFakeServer([]contractAnswer{{Status: 503}, {Status: 202}})
		client, _ := newTestClient(t, server, Options{Sign: true})
		defer closeNow(client)
		if _, err := client.Send(t.Context(), Batch{Body: []byte(oneEvent), ID: "batch"}); err != nil {
			t.Fatal(err)
		}
		for _, r := range server.received() {
			if r.header.Get("Webhook-Id") != "batch" || r.header.Get("Idempotency-Key") != "" || r.header.Get("Webhook-Signature") != signature(r) {
				t.Error(r.header)
			}
		}
	})
}

func TestSendConcurrentlyRace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newFakeServer([]contractAnswer{{Status: http.StatusAccepted, AfterMS: 10}})
		client, _ := newTestClient(t, server, Options{})
		defer closeNow(client)
		for range 10 {
			go func() {
				if _, err := client.Send(t.Context(), Batch{Body: []byte(oneEvent)}); err != nil {
					t.Error(err)
				}
			}()
		}
		start := time.Now()
		synctest.Wait()
		for len(server.received()) < 10 {
			time.Sleep(time.Millisecond)
		}
		if waited := time.Since(start); waited < 90*time.Millisecond {
			t.Errorf("ten requests of 10 ms took %s: they were not made one at a time", waited)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		go func() { _, _ = client.Send(t.Context(), Batch{Body: []byte(oneEvent)}) }()
		synctest.Wait()
		if _, err := client.Send(ctx, Batch{Body: []byte(oneEvent)}); codeOf(err) != CodeUnsent || !strings.Contains(err.Error(), "another batch") {
			t.Error(err)
		}
		time.Sleep(time.Second)
	})
}

func TestUncompressed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		body := `{"events":[{"id":"` + strings.Repeat("e", 2000) + `"}]}`
		sent := make(chan string, 1)
		client, _ := newTestClient(t, roundTripper(func(r *http.Request) (*http.Response, error) {
			sent <- r.Header.Get("Content-Encoding")
			return nil, errors.New("away")
		}), Options{Uncompressed: true})
		defer closeNow(client)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := client.Send(ctx, Batch{Body: []byte(body)})
		if encoding := <-sent; encoding != "" || codeOf(err) != CodeUnsent {
			t.Errorf("%q, %v", encoding, err)
		}
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
