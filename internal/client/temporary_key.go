package client

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
)

// temporaryKeyLife is how long a write key is valid that a command makes for itself: at most that
// long it outlives a command that is killed. It allows for a clock that is wrong by hours.
const temporaryKeyLife = 24 * time.Hour

const revokeDeadline = 5 * time.Second

// temporaryKey is a write key that a command made for itself. Another one takes its place before it
// expires. It is safe for concurrent use.
type temporaryKey struct {
	admin *Client
	app   string

	mu    sync.Mutex // guards what follows
	key   Key
	renew time.Time
}

// UseTemporaryWriteKey makes the client use a write key of its own for an application, instead of
// its admin key. The returned function revokes it.
func (c *Client) UseTemporaryWriteKey(ctx context.Context, app string) (giveBack func(), err error) {
	admin := *c
	b := &temporaryKey{admin: &admin, app: app}
	if _, err := b.secret(ctx); err != nil {
		return nil, err
	}
	c.key, c.temporary = "", b
	return func() { b.revoke(ctx) }, nil
}

// secret returns the key to use now.
func (b *temporaryKey) secret(ctx context.Context) (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	if now.Before(b.renew) {
		return b.key.Key, nil
	}
	path := KeysPath(b.app)
	body, err := json.Marshal(map[string]string{"kind": "write", "expires_at": now.Add(temporaryKeyLife).UTC().Format(time.RFC3339)})
	if err != nil {
		return "", fmt.Errorf("write request: %w", err)
	}
	answer, err := b.admin.Do(ctx, Request{Method: http.MethodPost, Path: path, Body: body})
	if err != nil {
		return "", fmt.Errorf("make a write key for application %q: %w", b.app, err)
	}
	var made Key
	if err := Decode(path, answer, &made); err != nil {
		return "", err
	}
	b.key, b.renew = made, now.Add(temporaryKeyLife/2)
	return made.Key, nil
}

// revoke revokes the last key. One for which this fails expires, as those before it do, with which
// requests may have been under way.
func (b *temporaryKey) revoke(ctx context.Context) {
	b.mu.Lock()
	defer b.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), revokeDeadline)
	defer cancel()
	_, _ = b.admin.Do(ctx, Request{Method: http.MethodDelete, Path: KeyPath(b.app, b.key.KeyID)})
}
