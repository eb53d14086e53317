package registry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// The kinds of records, as the beginnings of their keys in the bucket.
const (
	appRecords  = "app"
	keyRecords  = "key"
	typeRecords = "type"
)

func kind(key string) string {
	k, _, _ := strings.Cut(key, ".")
	return k
}

// hexOf names a record: keys of a bucket take few characters.
func hexOf(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:])
}

func appKey(name string) string { return appRecords + "." + hexOf(name) }

// UnknownTypes says what an application does with events whose type has no schema.
type UnknownTypes string

// What may be done with events of unknown types.
const (
	AcceptUnknown UnknownTypes = "accept"
	RejectUnknown UnknownTypes = "reject"
)

// Settings of an application. Empty fields stand for the defaults.
type Settings struct {
	TimeZone     string       `json:"time_zone"`     // IANA name, of timestamps without a zone; default UTC
	UnknownTypes UnknownTypes `json:"unknown_types"` // default accept
}

func (s Settings) checked() (Settings, error) {
	if s.TimeZone == "" {
		s.TimeZone = "UTC"
	}
	if _, err := time.LoadLocation(s.TimeZone); err != nil || s.TimeZone == "Local" {
		return s, &InvalidError{"time_zone", fmt.Sprintf("%.60q is not known: give an IANA name like Europe/Berlin", s.TimeZone)}
	}
	switch s.UnknownTypes {
	case "":
		s.UnknownTypes = AcceptUnknown
	case AcceptUnknown, RejectUnknown:
	default:
		return s, &InvalidError{"unknown_types", "may be accept or reject"}
	}
	return s, nil
}

// App is an application that sends events.
type App struct {
	Name string `json:"app"`
	Settings
	CreatedAt time.Time `json:"created_at"`

	location *time.Location
}

// Location returns the zone of timestamps that have none.
func (a App) Location() *time.Location {
	if a.location == nil {
		return time.UTC
	}
	return a.location
}

func (a App) located() App {
	if loc, err := time.LoadLocation(a.TimeZone); err == nil {
		a.location = loc
	}
	return a
}

// MaxAppName bounds the name of an application, in bytes.
const MaxAppName = 64

func checkAppName(name string) error {
	if len(name) > MaxAppName || !regexp.MustCompile(`^[a-z0-9][a-z0-9._-]*$`).MatchString(name) {
		return &InvalidError{"app", fmt.Sprintf("%.80q is no name: use 1 to %d of a-z, 0-9, dot, underscore and hyphen, a letter or digit first", name, MaxAppName)}
	}
	return nil
}

// Apps returns all applications by name.
func (r *Registry) Apps() []App {
	return slices.SortedFunc(maps.Values(r.current.Load().apps), func(a, b App) int { return strings.Compare(a.Name, b.Name) })
}

// App returns an application. It takes no lock.
func (r *Registry) App(name string) (App, bool) {
	a, ok := r.current.Load().apps[name]
	return a, ok
}

// CreateApp makes an application. Errors: ErrExists, *InvalidError, ErrUnavailable.
func (r *Registry) CreateApp(ctx context.Context, name string, settings Settings) (App, error) {
	if err := checkAppName(name); err != nil {
		return App{}, err
	}
	settings, err := settings.checked()
	if err != nil {
		return App{}, err
	}
	if _, ok := r.App(name); ok {
		return App{}, fmt.Errorf("application %q: %w", name, ErrExists)
	}
	a := App{Name: name, Settings: settings, CreatedAt: now()}
	if err := r.put(ctx, appKey(name), a, 0); err != nil {
		return App{}, fmt.Errorf("application %q: %w", name, err)
	}
	return a.located(), nil
}

// UpdateApp changes the settings of an application as change says. Errors:
// ErrNotFound, *InvalidError, ErrExists when another change came first.
func (r *Registry) UpdateApp(ctx context.Context, name string, change func(*Settings)) (App, error) {
	revision := r.revision(appKey(name)) // before the reading of what is changed
	a, ok := r.App(name)
	if !ok {
		return App{}, fmt.Errorf("application %q: %w", name, ErrNotFound)
	}
	change(&a.Settings)
	var err error
	if a.Settings, err = a.Settings.checked(); err != nil {
		return App{}, err
	}
	if err := r.put(ctx, appKey(name), a, revision); err != nil {
		return App{}, fmt.Errorf("application %q: %w", name, err)
	}
	return a.located(), nil
}

// DeleteApp removes an application. Its keys are not valid from then on. What
// it sent is not touched: the caller sees to that. Errors: ErrNotFound.
func (r *Registry) DeleteApp(ctx context.Context, name string) error {
	if _, ok := r.App(name); !ok {
		return fmt.Errorf("application %q: %w", name, ErrNotFound)
	}
	for _, k := range r.Keys(name) {
		if err := r.RevokeKey(ctx, name, k.ID); err != nil {
			return err
		}
	}
	return r.remove(ctx, appKey(name))
}

func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }
