package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"theeye/internal/duration"
	"theeye/internal/event"
	"theeye/internal/jsonx"
)

func appKey(name string) string { return appRecords + "." + hexOf(name) }

// UnknownTypes says how an application treats events of unregistered types.
type UnknownTypes string

// The values of UnknownTypes.
const (
	AcceptUnknown UnknownTypes = "accept"
	RejectUnknown UnknownTypes = "reject"
)

// Settings of an application. An empty field means the default.
type Settings struct {
	TimeZone     string       `json:"time_zone"`     // IANA name, of timestamps without a zone; default UTC
	UnknownTypes UnknownTypes `json:"unknown_types"` // default accept
	Rate         int64        `json:"rate"`          // events per second that a node accepts; 0 for no limit
	// Retain is how long events are kept, in the format of duration.Parse. 0 means forever, and an
	// empty text the server's default.
	Retain string `json:"retain"`
	// SilentAfter is how long nothing may come before the application counts as silent, in the format
	// of duration.Parse. An empty text means that it never does.
	SilentAfter string `json:"silent_after,omitzero"`
}

// MaxRate is the highest rate of an application, in events per second.
const MaxRate = 100_000_000

// minSilence is the shortest time after which an application is silent.
const minSilence = time.Minute

// SilentFor returns how long nothing may come before the application counts as silent, 0 for never.
func (s Settings) SilentFor() time.Duration {
	if s.SilentAfter == "" {
		return 0
	}
	d, _ := duration.Parse(s.SilentAfter) // it was checked when it was set
	return d
}

// minRetain keeps a typing error from removing everything at once.
const minRetain = time.Minute

// RetainFor returns how long an application's events are kept, 0 for forever.
func (s Settings) RetainFor(byDefault time.Duration) time.Duration {
	if s.Retain == "" {
		return byDefault
	}
	d, _ := duration.Parse(s.Retain) // it was checked when it was set
	return d
}

func (s Settings) checked() (Settings, error) {
	if s.TimeZone == "" {
		s.TimeZone = "UTC"
	}
	if _, err := event.LoadZone(s.TimeZone); err != nil {
		return s, &InvalidError{"time_zone", fmt.Sprintf("%.60q is %s", s.TimeZone, err)}
	}
	if s.Rate < 0 || s.Rate > MaxRate {
		return s, &InvalidError{"rate", fmt.Sprintf("must be 1 to %d events per second, or 0 for no limit", MaxRate)}
	}
	if s.Retain != "" {
		d, err := duration.Parse(s.Retain)
		switch {
		case err != nil:
			return s, &InvalidError{"retain", err.Error()}
		case d != 0 && d < minRetain:
			return s, &InvalidError{"retain", fmt.Sprintf("%.40q is too short; use at least %s, or 0 to keep events forever", s.Retain, duration.Format(minRetain))}
		}
	}
	if s.SilentAfter != "" {
		d, err := duration.Parse(s.SilentAfter)
		switch {
		case err != nil:
			return s, &InvalidError{"silent_after", err.Error()}
		case d == 0:
			s.SilentAfter = ""
		case d < minSilence:
			return s, &InvalidError{"silent_after", fmt.Sprintf("%.40q is too short; use at least %s, or leave it empty", s.SilentAfter, duration.Format(minSilence))}
		}
	}
	switch s.UnknownTypes {
	case "":
		s.UnknownTypes = AcceptUnknown
	case AcceptUnknown, RejectUnknown:
	default:
		return s, &InvalidError{"unknown_types", "must be accept or reject"}
	}
	return s, nil
}

// App is an application that sends events.
type App struct {
	Name string `json:"app"`
	Settings
	CreatedAt time.Time `json:"created_at"`
	// ErasingSince is set while everything that the application sent is being erased. From then on
	// it accepts no events, none of its keys is valid, and its name is still in use.
	ErasingSince *time.Time `json:"erasing_since,omitempty"`

	location *time.Location
}

// Location returns the zone for timestamps without one.
func (a App) Location() *time.Location {
	if a.location == nil {
		return time.UTC
	}
	return a.location
}

// appRecord is an application as it is stored. The id distinguishes it from a deleted application
// of the same name, whose keys must not become valid again.
type appRecord struct {
	App
	ID        string     `json:"app_id"`
	DeletedAt *time.Time `json:"deleted_at"`
}

// appState is an application in force.
type appState struct {
	App
	id string
}

// MaxAppName bounds the name of an application, in bytes.
const MaxAppName = 64

// CheckAppName returns an *InvalidError if name is not a valid name of an application.
func CheckAppName(name string) error {
	const later = ".-_"
	valid := name != "" && len(name) <= MaxAppName && !strings.ContainsAny(name[:1], later)
	for _, c := range []byte(name) {
		valid = valid && (c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || strings.IndexByte(later, c) >= 0)
	}
	if !valid {
		return &InvalidError{"app", fmt.Sprintf("%.80q is not a valid name; use 1 to %d of a-z, 0-9, dot, underscore and hyphen, beginning with a letter or digit", name, MaxAppName)}
	}
	return nil
}

// Apps returns all applications by name.
func (r *Registry) Apps() []App {
	var apps []App
	for _, a := range r.current.Load().apps.All() {
		apps = append(apps, a.App)
	}
	slices.SortFunc(apps, func(a, b App) int { return strings.Compare(a.Name, b.Name) })
	return apps
}

// App returns an application. It takes no lock.
func (r *Registry) App(name string) (App, bool) {
	a, ok := r.current.Load().apps.Find(name)
	return a.App, ok
}

// CreateApp creates an application. Errors: ErrExists, *InvalidError, ErrUnavailable.
func (r *Registry) CreateApp(ctx context.Context, name string, settings Settings) (App, error) {
	if err := CheckAppName(name); err != nil {
		return App{}, err
	}
	settings, err := settings.checked()
	if err != nil {
		return App{}, err
	}
	if err := r.checkRoom(); err != nil {
		return App{}, err
	}
	made := appRecord{App: App{Name: name, Settings: settings, CreatedAt: r.now()}, ID: newID("app")}
	return r.updateApp(ctx, name, func(old *appRecord) (*appRecord, error) {
		if old != nil {
			return nil, ErrExists
		}
		return &made, nil
	})
}

// UpdateApp changes the settings of an application with change, which may be called more than once.
// Errors: ErrNotFound, *InvalidError, ErrUnavailable.
func (r *Registry) UpdateApp(ctx context.Context, name string, change func(*Settings)) (App, error) {
	return r.updateApp(ctx, name, func(old *appRecord) (*appRecord, error) {
		if old == nil {
			return nil, ErrNotFound
		}
		change(&old.Settings)
		var err error
		old.Settings, err = old.Settings.checked()
		return old, err
	})
}

// EraseApp marks an application as being erased: see App.ErasingSince. DeleteApp must follow when
// its events are gone. Errors: ErrNotFound, ErrUnavailable.
func (r *Registry) EraseApp(ctx context.Context, name string) (App, error) {
	at := r.now()
	return r.updateApp(ctx, name, func(old *appRecord) (*appRecord, error) {
		if old == nil {
			return nil, ErrNotFound
		}
		if old.ErasingSince == nil {
			old.ErasingSince = &at
		}
		return old, nil
	})
}

// DeleteApp removes an application unless it has changed since it was found: it does not remove a
// newer application of the same name, or one whose erasure has begun since. From then on none of
// its keys is valid, even if an application of that name is created again. DeleteApp does not
// delete events: the caller does. Errors: ErrNotFound, ErrUnavailable.
func (r *Registry) DeleteApp(ctx context.Context, app App) error {
	at := r.now()
	_, err := r.updateApp(ctx, app.Name, func(old *appRecord) (*appRecord, error) {
		if old == nil || !old.CreatedAt.Equal(app.CreatedAt) || (old.ErasingSince == nil) != (app.ErasingSince == nil) {
			return nil, ErrNotFound
		}
		old.DeletedAt = &at
		return old, nil
	})
	return err
}

// updateApp replaces an application. decide is called with nil if there is none.
func (r *Registry) updateApp(ctx context.Context, name string, decide func(*appRecord) (*appRecord, error)) (App, error) {
	var next *appRecord
	err := r.update(ctx, appKey(name), func(value []byte) (any, error) {
		var old *appRecord
		if value != nil {
			old = new(appRecord)
			if err := json.Unmarshal(value, old); err != nil {
				return nil, fmt.Errorf("%w: its record cannot be read: %w", ErrUnavailable, jsonx.PlainJSON(err))
			}
			if old.DeletedAt != nil {
				old = nil
			}
		}
		var err error
		next, err = decide(old)
		return next, err
	})
	if err != nil {
		if errors.As(err, new(*InvalidError)) {
			return App{}, err
		}
		return App{}, appError(name, err)
	}
	next.location, _ = event.LoadZone(next.TimeZone)
	return next.App, nil
}

// checkRoom returns an error if the bucket has no room for new records.
func (r *Registry) checkRoom() error {
	if room := r.opts.MaxBytes / 4 * 3; r.current.Load().bytes > room {
		return &InvalidError{"metadata", fmt.Sprintf("has reached its limit of %d bytes; there is no room for more applications, keys and event types", room)}
	}
	return nil
}

// checkRoomFor is checkRoom unless the record exists.
func (r *Registry) checkRoomFor(record string) error {
	if r.current.Load().record(record).value != nil {
		return nil
	}
	return r.checkRoom()
}

func appError(name string, err error) error {
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrExists) { // which complete the sentence
		return fmt.Errorf("application %.80q %w", name, err)
	}
	return fmt.Errorf("application %.80q: %w", name, err)
}
