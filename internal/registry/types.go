package registry

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"theeye/internal/event"
	"theeye/internal/jsonx"
	"theeye/internal/schema"
)

// TypeVersion is one version of an event type.
type TypeVersion struct {
	Category  string         `json:"category"`
	Name      string         `json:"name"`
	Version   uint32         `json:"version"`
	Schema    jsontext.Value `json:"schema"` // must not be changed
	CreatedAt time.Time      `json:"created_at"`
	DeletedAt *time.Time     `json:"deleted_at"`      // set if this version deleted the type
	Author    string         `json:"author,omitzero"` // the id of the key that created it; empty if it is not known
}

type typeName struct{ category, name string }

// typeState is an event type with all its versions, oldest first.
type typeState struct {
	versions []TypeVersion
	compiled *compiledType // of the last version; nil until it is compiled
}

// compiledType is the version in force; its schema is nil if there is none.
type compiledType struct{ schema *schema.Type }

// with returns the type with one version added or replaced. t may be nil.
func (t *typeState) with(v TypeVersion, removed bool) *typeState {
	next := &typeState{}
	if t != nil {
		next.versions = slices.DeleteFunc(slices.Clone(t.versions), func(w TypeVersion) bool { return w.Version == v.Version })
	}
	if !removed {
		next.versions = append(next.versions, v)
		slices.SortFunc(next.versions, func(a, b TypeVersion) int { return cmp.Compare(a.Version, b.Version) })
	}
	return next
}

// compile compiles the version in force. If this server cannot use its schema, all events of the
// type are rejected.
func (t *typeState) compile() error {
	t.compiled = new(compiledType)
	v, ok := t.last()
	if !ok {
		return nil
	}
	var err error
	t.compiled.schema, err = schema.Compile(v.Category, v.Name, v.Version, v.Schema)
	if err != nil {
		t.compiled.schema = schema.Unusable(v.Category, v.Name, v.Version, err)
		return fmt.Errorf("event type %q / %q version %d: its events are rejected: %w", v.Category, v.Name, v.Version, err)
	}
	return nil
}

// last returns the version in force.
func (t *typeState) last() (TypeVersion, bool) {
	if t == nil || len(t.versions) == 0 {
		return TypeVersion{}, false
	}
	v := t.versions[len(t.versions)-1]
	return v, v.DeletedAt == nil
}

func typeKey(category, name string, version uint32) string {
	return fmt.Sprintf("%s.%s.%d", typeRecords, hexOf(category, name), version)
}

// Type returns the event type in force, nil if there is none. It takes no lock.
func (r *Registry) Type(category, name string) *schema.Type {
	if t := r.current.Load().types.Get(typeName{category, name}); t != nil {
		return t.compiled.schema
	}
	return nil
}

// Types returns the version in force of all event types, by category and name.
func (r *Registry) Types() []TypeVersion {
	var all []TypeVersion
	for _, t := range r.current.Load().types.All() {
		if v, ok := t.last(); ok {
			all = append(all, v)
		}
	}
	slices.SortFunc(all, func(a, b TypeVersion) int {
		return cmp.Or(strings.Compare(a.Category, b.Category), strings.Compare(a.Name, b.Name))
	})
	return all
}

// VersionsBetween returns the versions of all event types, even deleted ones, that were created in a
// span of time, including its beginning; oldest first.
func (r *Registry) VersionsBetween(from, to time.Time) []TypeVersion {
	var all []TypeVersion
	for _, t := range r.current.Load().types.All() {
		for _, v := range t.versions {
			if !v.CreatedAt.Before(from) && v.CreatedAt.Before(to) && len(v.Schema) > 0 {
				all = append(all, v)
			}
		}
	}
	slices.SortFunc(all, func(a, b TypeVersion) int { return a.CreatedAt.Compare(b.CreatedAt) })
	return all
}

// TypeVersion returns the version in force of one event type. Error: ErrNotFound.
func (r *Registry) TypeVersion(category, name string) (TypeVersion, error) {
	v, ok := r.current.Load().types.Get(typeName{category, name}).last()
	if !ok {
		return TypeVersion{}, r.noSuchType(category, name)
	}
	return v, nil
}

// TypeVersions returns all versions that an event type ever had, oldest first, even if it was
// deleted: stored events refer to them. Error: ErrNotFound.
func (r *Registry) TypeVersions(category, name string) ([]TypeVersion, error) {
	t := r.current.Load().types.Get(typeName{category, name})
	if t == nil || len(t.versions) == 0 {
		return nil, r.noSuchType(category, name)
	}
	return slices.Clone(t.versions), nil
}

// NearestType returns the event type in force whose category and name are closest to the given
// ones; ok is false if none is close enough.
func (r *Registry) NearestType(category, name string) (nearCategory, nearName string, ok bool) {
	names := map[string][]string{} // by category
	for key, t := range r.current.Load().types.All() {
		if _, inForce := t.last(); inForce {
			names[key.category] = append(names[key.category], key.name)
		}
	}
	nearCategory = event.Nearest(category, slices.Sorted(maps.Keys(names)))
	slices.Sort(names[nearCategory])
	nearName = event.Nearest(name, names[nearCategory])
	return nearCategory, nearName, nearName != ""
}

// noSuchType returns ErrNotFound with the type that was probably meant.
func (r *Registry) noSuchType(category, name string) error {
	err := typeError(category, name, ErrNotFound)
	if c, n, ok := r.NearestType(category, name); ok {
		return fmt.Errorf("%w; did you mean %q / %q?", err, c, n)
	}
	return err
}

func typeError(category, name string, err error) error {
	if errors.Is(err, ErrNotFound) { // which completes the sentence
		return fmt.Errorf("event type %.80q / %.80q %w", category, name, err)
	}
	return fmt.Errorf("event type %.80q / %.80q: %w", category, name, err)
}

// TypeChange is a schema that is to be the version in force of an event type.
type TypeChange struct {
	Category, Name string
	Document       []byte // copied
	Author         string // the id of the key that requests the change
	// Force allows a version that is not compatible with the one in force.
	Force bool
	// DryRun checks the change without making it.
	DryRun bool
}

// TypeOutcome is the result of a change.
type TypeOutcome struct {
	TypeVersion                 // in force now; for a dry run, the one that would be
	Made        bool            // the version is new; otherwise it equals the one that was in force
	Breaks      []schema.Reason // why it is not compatible with the previous version
	Warnings    []schema.Warning
}

// BreakingError reports a schema that may refuse data which conforms to the version in force.
type BreakingError struct {
	InForce uint32 // the version
	Reasons []schema.Reason
}

// Error returns the first reason and what to do.
func (e *BreakingError) Error() string {
	more := ""
	if n := len(e.Reasons) - 1; n > 0 {
		more = fmt.Sprintf(" (and %d more)", n)
	}
	at := ""
	if pointer := e.Reasons[0].Pointer; pointer != "" {
		at = fmt.Sprintf("at %q: ", pointer)
	}
	return fmt.Sprintf("data that conform to version %d may not conform to this schema: %s%s%s; add ?force=1 to apply it anyway",
		e.InForce, at, e.Reasons[0].Reason, more)
}

// ChangeType makes a schema the next version of an event type and puts it in force. It creates no
// version if the schema is refused, or equals the one in force except for white space and the order
// of members. A schema that equals an older version becomes a new version: this is how to revert a
// change. Compatibility is checked with the version in force; a new or deleted type has none. Two
// nodes never create the same version from two schemas. Errors: *schema.CompileError,
// *InvalidError, *BreakingError, ErrUnavailable.
func (r *Registry) ChangeType(ctx context.Context, change TypeChange) (TypeOutcome, error) {
	if err := errors.Join(checkTypeText("category", change.Category), checkTypeText("name", change.Name)); err != nil {
		return TypeOutcome{}, err
	}
	document := bytes.Clone(change.Document)
	compiled, err := r.Compile(ctx, change.Category, change.Name, document)
	if err != nil {
		return TypeOutcome{}, err
	}
	if err := r.checkRoom(); err != nil {
		return TypeOutcome{}, err
	}
	for range maxTries {
		out := TypeOutcome{Made: true, Warnings: compiled.Warnings(), TypeVersion: TypeVersion{
			Category: change.Category, Name: change.Name, Version: 1, Schema: document, CreatedAt: r.now(), Author: change.Author,
		}}
		if t := r.current.Load().types.Get(typeName{change.Category, change.Name}); t != nil && len(t.versions) > 0 {
			last, ok := t.last()
			if ok && jsonx.Equal(last.Schema, document) {
				return TypeOutcome{TypeVersion: last, Warnings: compiled.Warnings()}, nil
			}
			if ok {
				out.Breaks = compiled.Breaks(t.compiled.schema)
			}
			if len(out.Breaks) > 0 && !change.Force {
				return TypeOutcome{}, &BreakingError{last.Version, out.Breaks}
			}
			out.Version = last.Version + 1
		}
		if change.DryRun {
			return out, nil
		}
		err := r.update(ctx, typeKey(out.Category, out.Name, out.Version), func(old []byte) (any, error) {
			if old != nil { // another node has created this version first
				return nil, ErrExists
			}
			return out.TypeVersion, nil
		})
		if err == nil {
			return out, nil
		}
		if !errors.Is(err, ErrExists) {
			return TypeOutcome{}, typeError(change.Category, change.Name, err)
		}
	}
	return TypeOutcome{}, typeError(change.Category, change.Name, fmt.Errorf("%w: other nodes keep changing it", ErrUnavailable))
}

func checkTypeText(field, text string) error {
	n := utf8.RuneCountInString(text)
	if n < 1 || n > event.MaxTextCodePoints || !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
		return &InvalidError{field, fmt.Sprintf("must have 1 to %d characters", event.MaxTextCodePoints)}
	}
	return nil
}

// DeleteType deletes an event type: its events are no longer checked. Its versions can still be
// read, and a later version continues their numbers. Errors: ErrNotFound, ErrUnavailable.
func (r *Registry) DeleteType(ctx context.Context, category, name string) error {
	last, err := r.TypeVersion(category, name)
	if err != nil {
		return err
	}
	at := r.now()
	err = r.update(ctx, typeKey(category, name, last.Version), func(value []byte) (any, error) {
		var v TypeVersion
		if err := json.Unmarshal(value, &v); err != nil {
			return nil, fmt.Errorf("%w: its record cannot be read: %w", ErrUnavailable, jsonx.PlainJSON(err))
		}
		if v.DeletedAt != nil {
			return nil, ErrNotFound
		}
		v.DeletedAt = &at
		return v, nil
	})
	if err != nil {
		return typeError(category, name, err)
	}
	return nil
}
