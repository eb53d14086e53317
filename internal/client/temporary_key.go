package client

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
)

// temporaryKeyLife is the validity of a write key that a command creates for itself, and so the
// time for which the key outlives a command that is killed. It tolerates a clock that is off by
// hours.
const temporaryKeyLife = 24 * time.Hour

const revokeDeadline = 5 * time.Second

// temporaryKey is a write key that a command created for itself. It is replaced before it expires.
// It is safe for concurrent use.
type temporaryKey struct {
	admin *Client
	app   string

	mu    sync.Mutex // guards what follows
	key   Key
	renew time.Time
}

// UseTemporaryWriteKey makes the client use a new write key for an application, instead of its
// admin key. The returned function revokes that key.
func (c *Client) UseTemporaryWriteKey(ctx context.Context, app string) (revoke func(), err error) {
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
		return "", fmt.Errorf("create a write key for application %q: %w", b.app, err)
	}
	var made Key
	if err := Decode(path, answer, &made); err != nil {
		return "", err
	}
	b.key, b.renew = made, now.Add(temporaryKeyLife/2)
	return made.Key, nil
}

// revoke revokes the last key. Earlier keys, which requests may still be using, are left to expire,
// and so is a key whose revocation fails.
func (b *temporaryKey) revoke(ctx context.Context) {
	b.mu.Lock()
	defer b.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), revokeDeadline)
	defer cancel()
	_, _ = b.admin.Do(ctx, Request{Method: http.MethodDelete, Path: KeyPath(b.app, b.key.KeyID)})
}
