package registry_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"theeye/internal/registry"
)

// ended waits until a context has ended with its key.
func ended(t *testing.T, ctx context.Context) {
	t.Helper()
	select {
	case <-ctx.Done():
		if cause := context.Cause(ctx); !errors.Is(cause, registry.ErrKeyEnded) {
			t.Errorf("it ended with %v", cause)
		}
	case <-time.After(time.Minute):
		t.Error("it goes on")
	}
}

// What is done with a key ends with the key, and only that (M18).
func TestWhileValid(t *testing.T) {
	r := fresh(t)
	soon := time.Now().Add(time.Second)
	issue := func(app string, kind registry.Kind, rules registry.Restrictions) (id, secret string) {
		t.Helper()
		k, secret, err := r.CreateRestrictedKey(t.Context(), app, kind, rules)
		if err != nil {
			t.Fatal(err)
		}
		return k.ID, secret
	}
	app, err := r.CreateApp(t.Context(), "shop", registry.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		key   func() (id, secret string)
		ended func(id string) error
	}{
		{"a key that is revoked", func() (string, string) { return issue("shop", registry.Read, registry.Restrictions{}) },
			func(id string) error { return r.RevokeKey(t.Context(), "shop", id) }},
		{"an admin key that is revoked", func() (string, string) { return issue("", registry.Admin, registry.Restrictions{}) },
			func(id string) error { return r.RevokeKey(t.Context(), "", id) }},
		{"a key that expires", func() (string, string) { return issue("shop", registry.Read, registry.Restrictions{ExpiresAt: &soon}) },
			func(string) error { return nil }},
		{"a key whose application is deleted", func() (string, string) { return issue("shop", registry.Read, registry.Restrictions{}) },
			func(string) error { return r.DeleteApp(t.Context(), app) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, other := issue("", registry.Read, registry.Restrictions{})
			id, secret := c.key()
			ctx, release := r.WhileValid(t.Context(), secret)
			defer release()
			others, releaseOthers := r.WhileValid(t.Context(), other)
			defer releaseOthers()
			if err := ctx.Err(); err != nil {
				t.Fatalf("it ended before its key: %v", context.Cause(ctx))
			}
			if err := c.ended(id); err != nil {
				t.Fatal(err)
			}
			ended(t, ctx)
			late, releaseLate := r.WhileValid(t.Context(), secret)
			defer releaseLate()
			ended(t, late)
			if err := others.Err(); err != nil {
				t.Errorf("what is done with another key ended: %v", context.Cause(others))
			}
		})
	}
	own, release := r.WhileValid(t.Context(), r.FirstStart().AdminKey)
	if err := own.Err(); err != nil {
		t.Errorf("the server's own admin key: %v", err)
	}
	release()
	if own.Err() == nil {
		t.Error("it goes on when it was released")
	}
}
