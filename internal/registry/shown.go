package registry

import (
	"context"
	"fmt"
)

// makeFirstKeys creates the keys of the application "default" that a first start shows, unless
// Options.WithoutKeys is set. It revokes the keys that an earlier start could not show, whose
// secrets are lost, and returns their ids. After a crash in between, the next start does so.
func (r *Registry) makeFirstKeys(ctx context.Context) (revoked []string, err error) {
	revoked = r.unshown()
	var write, read string
	if !r.opts.WithoutKeys {
		if _, write, err = r.createKey(ctx, Key{App: DefaultApp, Kind: Write, Unshown: true}); err != nil {
			return nil, err
		}
		if _, read, err = r.createKey(ctx, Key{App: DefaultApp, Kind: Read, Unshown: true}); err != nil {
			return nil, err
		}
	}
	for _, id := range revoked {
		if err := r.RevokeKey(ctx, DefaultApp, id); err != nil {
			return nil, err
		}
	}
	r.first.Made, r.first.WriteKey, r.first.ReadKey = true, write, read
	return revoked, nil
}

// unshown returns the ids of the keys that should have been shown but were not.
func (r *Registry) unshown() []string {
	var ids []string
	for _, k := range r.Keys(DefaultApp) {
		if k.Unshown && k.RevokedAt == nil {
			ids = append(ids, k.ID)
		}
	}
	return ids
}

// replaceUnshown replaces the keys that an earlier start could not show. A full disk must not
// prevent reads: the next start retries.
func (r *Registry) replaceUnshown(ctx context.Context) {
	if len(r.unshown()) == 0 {
		return
	}
	revoked, err := r.makeFirstKeys(ctx)
	if err == nil {
		note := Entry{Act: "replaceUnshownKeys", App: DefaultApp}
		note.Note("revoked", revoked)
		note.Note("key_ids", r.unshown())
		err = r.auditLog.Record(ctx, note)
	}
	if err != nil {
		r.log.Warn("the keys of the application default that the first start could not show were not replaced", "error", err)
	}
}

// FirstKeysShown records that the write key and the read key of FirstStart were shown. Otherwise
// the next Open replaces them.
func (r *Registry) FirstKeysShown(ctx context.Context) error {
	for _, secret := range []string{r.first.WriteKey, r.first.ReadKey} {
		if secret == "" {
			continue
		}
		err := r.update(ctx, digestOf(secret).record(), func(value []byte) (any, error) {
			k, err := parseKey(value)
			if err != nil || !k.Unshown {
				return nil, err
			}
			k.Unshown = false
			return k, nil
		})
		if err != nil {
			return fmt.Errorf("record that a key was shown: %w", err)
		}
	}
	return nil
}
