package cli

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	webhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"theeye/internal/client"
	"theeye/internal/plural"
	"theeye/internal/wait"
)

const (
	// maxWebhookItems bounds the items of one request.
	maxWebhookItems = 100
	// webhookTimeout bounds one request, answer included.
	webhookTimeout = 30 * time.Second
	// webhookSecretEnv names the environment variable that holds the secret.
	webhookSecretEnv = "EYE_WEBHOOK_SECRET" //nolint:gosec // its name
	secretPrefix     = "whsec_"
	// Lengths of a secret, in bytes, as in Standard Webhooks.
	minSecret = 24
	maxSecret = 64
	// maxWebhookAnswer is how much of an answer is read, in bytes, so that its connection is reused.
	maxWebhookAnswer = 64 << 10
)

// webhook posts items to a URL, signed as in Standard Webhooks
// (https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md).
type webhook struct {
	url    string
	shown  string // without what may be secret
	signer *webhooks.Webhook
	http   *http.Client
	// position is the file of the position.
	position string
	notice   func(text string)
}

// webhook returns the target of --to.
func (f *feedFlags) webhook() (*webhook, error) {
	u, err := url.Parse(f.to)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, usagef("--to is not the URL of a receiver; use one such as https://example.com/events")
	}
	secret, err := f.webhookSecret()
	if err != nil {
		return nil, err
	}
	signer, err := webhooks.NewWebhookRaw(secret)
	if err != nil {
		return nil, fmt.Errorf("use the secret: %w", err)
	}
	return &webhook{url: f.to, shown: u.Scheme + "://" + u.Host, signer: signer, position: f.after, notice: f.notice, http: &http.Client{
		Timeout:       webhookTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// webhookSecret reads the secret. No message shows any of it.
func (f *feedFlags) webhookSecret() ([]byte, error) {
	text, from := f.getenv(webhookSecretEnv), webhookSecretEnv
	if f.secretFile != "" {
		b, err := os.ReadFile(f.secretFile)
		if err != nil {
			return nil, fmt.Errorf("read the secret: %w", err)
		}
		text, from = string(b), f.secretFile
	}
	if text = strings.TrimSpace(text); text == "" {
		return nil, usagef("--to requires a secret, which the receiver knows too: make one with `echo whsec_$(openssl rand -base64 32)`, and give it in %s or with --secret-file", webhookSecretEnv)
	}
	encoded, ok := strings.CutPrefix(text, secretPrefix)
	secret, err := base64.StdEncoding.DecodeString(encoded)
	if !ok || err != nil || len(secret) < minSecret || len(secret) > maxSecret {
		return nil, usagef("%s does not hold a secret: it must be whsec_ and the base64 of %d to %d bytes, as `echo whsec_$(openssl rand -base64 32)` makes them", from, minSecret, maxSecret)
	}
	return secret, nil
}

// post posts items until they are accepted. The id of the request is derived from its body, so it
// stays the same when the same items are posted again, even by another process.
func (w *webhook) post(ctx context.Context, items []jsontext.Value) error {
	body := []byte(`{"items":[`)
	for n, i := range items {
		if n > 0 {
			body = append(body, ',')
		}
		body = append(body, i...)
	}
	body = append(body, "]}"...)
	sum := sha256.Sum256(body)
	id := "msg_" + hex.EncodeToString(sum[:16])
	reports := outage{notice: w.notice}
	for try := 0; ; try++ {
		err := w.try(ctx, id, body)
		if err == nil {
			reports.over(w.shown + " accepts items again")
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%w: %d items were not accepted, and will be posted again", errInterrupted, len(items))
		}
		p, answered := errors.AsType[*client.Problem](err)
		if answered && p.Status == http.StatusGone {
			return fmt.Errorf("%s answered 410 Gone: the receiver wants no more items, so the feed has ended before %s that it did not accept. "+
				"To end this copy for good, stop what starts it, and remove %s. To continue it, have the receiver accept items, or name another one with --to, and start the same command again: it posts these items first",
				w.shown, plural.Count(int64(len(items)), "item"), w.position)
		}
		reports.failed(err)
		_ = wait.For(ctx, backoff(try, err))
	}
}

// try posts once. An answer other than 2xx is a *client.Problem, whose body is not read as one: it
// comes from a receiver.
func (w *webhook) try(ctx context.Context, id string, body []byte) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	now := time.Now()
	signature, err := w.signer.Sign(id, now, body)
	if err != nil {
		return fmt.Errorf("sign request: %w", err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "the-eye")
	r.Header.Set("Webhook-Id", id)
	r.Header.Set("Webhook-Timestamp", strconv.FormatInt(now.Unix(), 10))
	r.Header.Set("Webhook-Signature", signature)
	answer, err := w.http.Do(r)
	if err != nil {
		if inURL, ok := errors.AsType[*url.Error](err); ok {
			err = inURL.Err // its text repeats the URL
		}
		err = client.WithoutLocalPort(err)
		return fmt.Errorf("no answer from %s: %w", w.shown, err)
	}
	defer func() { _ = answer.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, maxWebhookAnswer))
	if answer.StatusCode/100 == 2 {
		return nil
	}
	return &webhookError{w.shown, answer.StatusCode, &client.Problem{Status: answer.StatusCode, RetryAfter: answer.Header.Get("Retry-After")}}
}

// webhookError is an answer that is not an acceptance.
type webhookError struct {
	url     string
	status  int
	problem *client.Problem
}

func (e *webhookError) Error() string {
	return strings.TrimSpace(fmt.Sprintf("%s answered %d %s", e.url, e.status, http.StatusText(e.status)))
}

// Unwrap returns the problem, which has the delay that the receiver asks for.
func (e *webhookError) Unwrap() error { return e.problem }
