package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"theeye/internal/event"
	"theeye/internal/schema"
)

// TypeVersion is one version of an event type.
type TypeVersion struct {
	Category  string         `json:"category"`
	Name      string         `json:"name"`
	Version   uint32         `json:"version"`
	Schema    jsontext.Value `json:"schema"`
	CreatedAt time.Time      `json:"created_at"`
	DeletedAt *time.Time     `json:"deleted_at"` // the type ended with this version
}

type typeName struct{ category, name string }

// typeRecord is an event type with all its versions, oldest first.
type typeRecord struct {
	versions []TypeVersion
	compiled *schema.Type // of the last; nil when it was deleted
}

// with returns the type with one version put in its place. t may be nil.
func (t *typeRecord) with(v TypeVersion, deleted bool) *typeRecord {
	next := &typeRecord{}
	if t != nil {
		next.versions = slices.DeleteFunc(slices.Clone(t.versions), func(w TypeVersion) bool { return w.Version == v.Version })
	}
	if !deleted {
		next.versions = append(next.versions, v)
		slices.SortFunc(next.versions, func(a, b TypeVersion) int { return int(a.Version) - int(b.Version) })
	}
	if last, ok := next.last(); ok {
		next.compiled = compile(last)
	}
	return next
}

// last returns the version in force.
func (t *typeRecord) last() (TypeVersion, bool) {
	if t == nil || len(t.versions) == 0 {
		return TypeVersion{}, false
	}
	v := t.versions[len(t.versions)-1]
	return v, v.DeletedAt == nil
}

func typeKey(category, name string, version uint32) string {
	return fmt.Sprintf("%s.%s.%d", typeRecords, hexOf(category, name), version)
}

// Type returns the event type in force, nil when there is none. It takes no lock.
func (r *Registry) Type(category, name string) *schema.Type {
	if t := r.current.Load().types[typeName{category, name}]; t != nil {
		return t.compiled
	}
	return nil
}

// Types returns the version in force of all event types, by category and name.
func (r *Registry) Types() []TypeVersion {
	var all []TypeVersion
	for t := range maps.Values(r.current.Load().types) {
		if v, ok := t.last(); ok {
			all = append(all, v)
		}
	}
	slices.SortFunc(all, func(a, b TypeVersion) int {
		if c := strings.Compare(a.Category, b.Category); c != 0 {
			return c
		}
		return strings.Compare(a.Name, b.Name)
	})
	return all
}

// TypeVersion returns the version in force of one event type. Error: ErrNotFound.
func (r *Registry) TypeVersion(category, name string) (TypeVersion, error) {
	v, ok := r.current.Load().types[typeName{category, name}].last()
	if !ok {
		return TypeVersion{}, fmt.Errorf("event type %q / %q: %w", category, name, ErrNotFound)
	}
	return v, nil
}

// PutType makes a schema the version in force of an event type, the next by
// number. A schema that equals the one in force, but for white space and the
// order of keys, makes no version. Errors: *schema.CompileError, *InvalidError,
// ErrExists when another version came first, ErrUnavailable.
func (r *Registry) PutType(ctx context.Context, category, name string, document []byte) (v TypeVersion, made bool, err error) {
	for field, text := range map[string]string{"category": category, "name": name} {
		if n := utf8.RuneCountInString(text); n < 1 || n > event.MaxTextCodePoints || !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
			return v, false, &InvalidError{field, fmt.Sprintf("must have 1 to %d characters", event.MaxTextCodePoints)}
		}
	}
	document = bytes.Clone(document)
	if _, err := schema.Compile(category, name, 1, document); err != nil {
		return v, false, err
	}
	t := r.current.Load().types[typeName{category, name}]
	v = TypeVersion{Category: category, Name: name, Version: 1, Schema: document, CreatedAt: now()}
	if last, ok := t.last(); ok {
		if sameSchema(last.Schema, document) {
			return last, false, nil
		}
	}
	if t != nil && len(t.versions) > 0 {
		v.Version = t.versions[len(t.versions)-1].Version + 1
	}
	if err := r.put(ctx, typeKey(category, name, v.Version), v, 0); err != nil {
		return v, false, fmt.Errorf("event type %q / %q: %w", category, name, err)
	}
	return v, true, nil
}

func sameSchema(a, b jsontext.Value) bool {
	x, y := a.Clone(), b.Clone()
	if err := errors.Join(x.Canonicalize(), y.Canonicalize()); err != nil {
		return false
	}
	return bytes.Equal(x, y)
}

// DeleteType ends an event type: events of it are checked no longer. Its
// versions are kept, and a later one continues their numbers. Error: ErrNotFound.
func (r *Registry) DeleteType(ctx context.Context, category, name string) error {
	v, err := r.TypeVersion(category, name)
	if err != nil {
		return err
	}
	key := typeKey(category, name, v.Version)
	at := now()
	v.DeletedAt = &at
	return r.put(ctx, key, v, r.revision(key))
}
