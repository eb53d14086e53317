package registry

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"theeye/internal/envelope"
)

// Login is a person's sign-in with a key. It ends when its key does.
type Login struct {
	ID, KeyID string
	App       string // of the key; empty for all applications
	Kind      Kind   // of the key
	CreatedAt time.Time
	ActiveAt  time.Time // to the second; polling is no activity
	EndsAt    time.Time // if nothing is done until then
}

// LoginLimits say how long a login and a link last. A zero value stands for the default.
type LoginLimits struct {
	Idle  time.Duration // without activity; 12 hours if 0
	Total time.Duration // 7 days if 0
	Link  time.Duration // from its creation to its use; 10 minutes if 0
}

func (l LoginLimits) withDefaults() LoginLimits {
	return LoginLimits{
		Idle:  cmp.Or(max(l.Idle, 0), 12*time.Hour),
		Total: cmp.Or(max(l.Total, 0), 7*24*time.Hour),
		Link:  cmp.Or(max(l.Link, 0), 10*time.Minute),
	}
}

const (
	maxLogins = 100 // of a key; a further one ends the one that has been idle longest
	maxLinks  = 20  // of a key; a further one replaces the oldest

	// activityStep is how much later activity must be to be written. After a crash, a login may
	// seem to be idle for that much longer.
	activityStep = 10 * time.Minute

	loginToken, linkToken = "l", "o" // in the place of the kind of a key
)

// loginsRecord has the logins of a key, and the links that sign in with it. One record for all of
// them keeps the bucket small, because records are never deleted.
type loginsRecord struct {
	KeyID  string        `json:"key_id"`
	Logins []loginRecord `json:"logins"`
	Links  []linkRecord  `json:"links"`
}

type loginRecord struct {
	ID        string    `json:"login_id"`
	Hash      string    `json:"hash"` // of the token
	CreatedAt time.Time `json:"created_at"`
	ActiveAt  time.Time `json:"active_at"`
}

type linkRecord struct {
	Hash      string    `json:"hash"`
	CreatedAt time.Time `json:"created_at"`
}

// loginState is a login with its last activity, which snapshots share.
type loginState struct {
	loginRecord
	key    digest
	active *lastUse
}

// linkState is a link that has not been used.
type linkState struct {
	linkRecord
	key digest
}

// digestIn returns the digest that a text has in hexadecimal.
func digestIn(text string) (d digest, err error) {
	if n, err := hex.Decode(d[:], []byte(text)); err != nil || n != len(d) {
		return d, errors.New("it is not a digest")
	}
	return d, nil
}

func (d digest) text() string { return hex.EncodeToString(d[:]) }

func (d digest) logins() string { return loginRecords + "." + d.text() }

// parseLogins parses a record; nil is one without logins.
func parseLogins(value []byte) (rec loginsRecord, err error) {
	if value != nil {
		err = envelope.Decode(value, &rec)
	}
	return rec, err
}

// setLogins sets the logins and links of a key. Those that cannot be read are not in force.
func (s *snapshot) setLogins(name string, before, value []byte) error {
	key, err := digestIn(name)
	if err != nil {
		return err
	}
	earlier := map[digest]*lastUse{}
	old, _ := parseLogins(before) // reported when it was set
	for _, l := range old.Logins {
		if d, err := digestIn(l.Hash); err == nil {
			if state := s.logins.Get(d); state != nil {
				earlier[d] = state.active
			}
			s.logins.Remove(d)
		}
	}
	for _, l := range old.Links {
		if d, err := digestIn(l.Hash); err == nil {
			s.links.Remove(d)
		}
	}
	rec, err := parseLogins(value)
	if err != nil {
		return err
	}
	for _, l := range rec.Logins {
		d, err := digestIn(l.Hash)
		if err != nil {
			return err
		}
		state := &loginState{loginRecord: l, key: key, active: earlier[d]}
		if state.active == nil {
			state.active = new(lastUse)
		}
		state.active.raise(l.ActiveAt.Unix())
		raise(&state.active.written, l.ActiveAt.Unix())
		s.logins.Set(d, state)
	}
	for _, l := range rec.Links {
		d, err := digestIn(l.Hash)
		if err != nil {
			return err
		}
		s.links.Set(d, linkState{l, key})
	}
	return nil
}

// login describes a login whose key is valid.
func (r *Registry) login(l *loginState, who Principal, k *keyState) Login {
	active := time.Unix(l.active.seconds.Load(), 0).UTC()
	ends := l.CreatedAt.Add(r.opts.Logins.Total)
	if idle := active.Add(r.opts.Logins.Idle); idle.Before(ends) {
		ends = idle
	}
	if k != nil && k.ExpiresAt != nil && k.ExpiresAt.Before(ends) {
		ends = *k.ExpiresAt
	}
	return Login{ID: l.ID, KeyID: who.KeyID, App: who.App, Kind: who.Kind, CreatedAt: l.CreatedAt, ActiveAt: active, EndsAt: ends}
}

// findLogin returns a login that is in force in a snapshot, and the rights of its key.
func (r *Registry) findLogin(s *snapshot, token digest) (login Login, who Principal, ok bool) {
	l := s.logins.Get(token)
	if l == nil {
		return Login{}, Principal{}, false
	}
	who, k, ok := r.findIn(s, l.key)
	if !ok {
		return Login{}, Principal{}, false
	}
	login = r.login(l, who, k)
	who.LoginID = l.ID
	return login, who, time.Now().Before(login.EndsAt)
}

// Login returns the login of a token and the rights of its key; ok is false if the token is
// unknown, or the login or its key has ended. It takes no lock and does no I/O.
func (r *Registry) Login(token string) (login Login, who Principal, ok bool) {
	if len(token) < minSecret || len(token) > maxSecret {
		return Login{}, Principal{}, false
	}
	return r.findLogin(r.current.Load(), digestOf(token))
}

// NoteActivity records that a person has done something with the login of a token, which also uses
// its key. It is written in the background.
func (r *Registry) NoteActivity(token string) {
	s, at := r.current.Load(), time.Now().Unix()
	l := s.logins.Get(digestOf(token))
	if l == nil {
		return
	}
	l.active.raise(at)
	if k := s.keys.Get(l.key); k != nil {
		k.lastUse.raise(at)
	}
}

// Logins returns the logins that are in force, the one that was active last first.
func (r *Registry) Logins() []Login {
	s := r.current.Load()
	var list []Login
	for token := range s.logins.All() {
		if l, _, ok := r.findLogin(s, token); ok {
			list = append(list, l)
		}
	}
	slices.SortFunc(list, func(a, b Login) int {
		return cmp.Or(b.ActiveAt.Compare(a.ActiveAt), b.CreatedAt.Compare(a.CreatedAt), strings.Compare(a.ID, b.ID))
	})
	return list
}

// SignIn makes a login with a read key or an admin key. It returns the login's token, which is not
// stored anywhere. A login of the same key with the token replaced, empty for none, makes room for
// it. Errors: ErrNotFound if the key is not valid, *InvalidError, ErrUnavailable.
func (r *Registry) SignIn(ctx context.Context, secret, replaced string) (Login, string, error) {
	key := digestOf(secret)
	who, _, ok := r.find(secret)
	switch {
	case !ok:
		return Login{}, "", fmt.Errorf("the key %w", ErrNotFound)
	case who.Kind != Read && who.Kind != Admin:
		return Login{}, "", &InvalidError{"key", "must be a read key or an admin key"}
	}
	return r.addLogin(ctx, key, nil, replaced)
}

// SignInByLink makes a login with the key of a link, which it uses up; replaced is as for SignIn.
// Errors: ErrNotFound if the link was used, or is too old, or its key has ended; ErrUnavailable.
func (r *Registry) SignInByLink(ctx context.Context, link, replaced string) (Login, string, error) {
	if len(link) < minSecret || len(link) > maxSecret {
		return Login{}, "", errLink
	}
	d := digestOf(link)
	l, ok := r.current.Load().links.Find(d)
	if !ok {
		return Login{}, "", errLink
	}
	return r.addLogin(ctx, l.key, &d, replaced)
}

// PeekLink returns the rights that a link would give, and whether it is valid. It does not use up the
// link.
func (r *Registry) PeekLink(link string) (who Principal, ok bool) {
	if len(link) < minSecret || len(link) > maxSecret {
		return Principal{}, false
	}
	s := r.current.Load()
	l, ok := s.links.Find(digestOf(link))
	if !ok || !time.Now().Before(l.CreatedAt.Add(r.opts.Logins.Link)) {
		return Principal{}, false
	}
	who, _, ok = r.findIn(s, l.key)
	return who, ok
}

var errLink = fmt.Errorf("the link %w", ErrNotFound)

// addLogin adds a login to those of a key, and uses up a link unless it is nil.
func (r *Registry) addLogin(ctx context.Context, key digest, link *digest, replaced string) (Login, string, error) {
	if err := r.checkRoomFor(key.logins()); err != nil {
		return Login{}, "", err
	}
	token := newToken(loginToken)
	d := digestOf(token)
	err := r.updateLogins(ctx, key, func(rec *loginsRecord) error {
		if link != nil {
			i := slices.IndexFunc(rec.Links, func(l linkRecord) bool { return l.Hash == link.text() })
			if i < 0 {
				return errLink
			}
			rec.Links = slices.Delete(rec.Links, i, i+1)
		}
		if replaced != "" {
			hash := digestOf(replaced).text()
			rec.Logins = slices.DeleteFunc(rec.Logins, func(l loginRecord) bool { return l.Hash == hash })
		}
		for len(rec.Logins) >= maxLogins {
			idlest := slices.MinFunc(rec.Logins, func(a, b loginRecord) int { return a.ActiveAt.Compare(b.ActiveAt) })
			rec.Logins = slices.DeleteFunc(rec.Logins, func(l loginRecord) bool { return l.ID == idlest.ID })
		}
		at := now()
		rec.Logins = append(rec.Logins, loginRecord{newID("login"), d.text(), at, at.Truncate(time.Second)})
		return nil
	})
	if err != nil {
		return Login{}, "", fmt.Errorf("sign in: %w", err)
	}
	login, _, ok := r.findLogin(r.current.Load(), d)
	if !ok { // the key was revoked in the meantime
		return Login{}, "", fmt.Errorf("the key %w", ErrNotFound)
	}
	return login, token, nil
}

// CreateLink returns a new link that signs in once, with the admin key secret, and when it expires.
// The link is not stored anywhere. Errors: ErrNotFound if the key is not a valid admin key,
// ErrUnavailable.
func (r *Registry) CreateLink(ctx context.Context, secret string) (link string, expires time.Time, err error) {
	if who, _, ok := r.find(secret); !ok || who.Kind != Admin {
		return "", time.Time{}, fmt.Errorf("the admin key %w", ErrNotFound)
	}
	return r.createLink(ctx, digestOf(secret))
}

// CreateLinkOf is CreateLink for the key of a login.
func (r *Registry) CreateLinkOf(ctx context.Context, token string) (link string, expires time.Time, err error) {
	l := r.current.Load().logins.Get(digestOf(token))
	if l == nil {
		return "", time.Time{}, fmt.Errorf("the login %w", ErrNotFound)
	}
	return r.createLink(ctx, l.key)
}

func (r *Registry) createLink(ctx context.Context, key digest) (link string, expires time.Time, err error) {
	if err := r.checkRoomFor(key.logins()); err != nil {
		return "", time.Time{}, err
	}
	link = newToken(linkToken)
	at := now()
	err = r.updateLogins(ctx, key, func(rec *loginsRecord) error {
		rec.Links = append(rec.Links, linkRecord{digestOf(link).text(), at})
		rec.Links = rec.Links[max(0, len(rec.Links)-maxLinks):]
		return nil
	})
	if err != nil {
		return "", time.Time{}, fmt.Errorf("create a sign-in link: %w", err)
	}
	return link, at.Add(r.opts.Logins.Link), nil
}

// EndLogin ends a login, which is in force when it returns. Errors: ErrNotFound, ErrUnavailable.
func (r *Registry) EndLogin(ctx context.Context, id string) error {
	s := r.current.Load()
	for token, l := range s.logins.All() {
		if _, _, ok := r.findLogin(s, token); !ok || l.ID != id {
			continue
		}
		err := r.updateLogins(ctx, l.key, func(rec *loginsRecord) error {
			rec.Logins = slices.DeleteFunc(rec.Logins, func(l loginRecord) bool { return l.ID == id })
			return nil
		})
		if err != nil {
			return fmt.Errorf("end the login: %w", err)
		}
		return nil
	}
	return fmt.Errorf("login %.40q %w", id, ErrNotFound)
}

// updateLogins changes the logins and links of a key, without those that are over. A record that
// cannot be read is begun anew: nobody can use what it had.
func (r *Registry) updateLogins(ctx context.Context, key digest, change func(*loginsRecord) error) error {
	return r.update(ctx, key.logins(), func(old []byte) (any, error) {
		rec, err := parseLogins(old)
		if err != nil {
			r.log.Error("the logins of a key cannot be read and are ended", "record", key.logins(), "error", err)
			rec = loginsRecord{}
		}
		r.tidy(&rec, key)
		if err := change(&rec); err != nil {
			return nil, err
		}
		return rec, nil
	})
}

// tidy removes what is over from a record, and sets the activity of the rest.
func (r *Registry) tidy(rec *loginsRecord, key digest) {
	s := r.current.Load()
	who, k, ok := r.findIn(s, key)
	kept := *rec
	*rec = loginsRecord{KeyID: cmp.Or(who.KeyID, kept.KeyID), Logins: []loginRecord{}, Links: []linkRecord{}}
	if !ok {
		return
	}
	at := time.Now()
	for _, l := range kept.Logins {
		d, err := digestIn(l.Hash)
		state := s.logins.Get(d)
		if err != nil || state == nil { // another node has just added it
			rec.Logins = append(rec.Logins, l)
			continue
		}
		login := r.login(state, who, k)
		if l.ActiveAt = login.ActiveAt; at.Before(login.EndsAt) {
			rec.Logins = append(rec.Logins, l)
		}
	}
	for _, l := range kept.Links {
		if at.Before(l.CreatedAt.Add(r.opts.Logins.Link)) {
			rec.Links = append(rec.Links, l)
		}
	}
}

// writeLogins writes activity that is at least step later than what was written, and removes what is
// over.
func (r *Registry) writeLogins(ctx context.Context, step time.Duration) error {
	s, at := r.current.Load(), time.Now()
	changed := map[digest]struct{}{}
	for token, l := range s.logins.All() {
		_, _, ok := r.findLogin(s, token)
		moved := time.Duration(l.active.seconds.Load()-l.active.written.Load()) * time.Second
		if !ok || moved > 0 && moved >= step {
			changed[l.key] = struct{}{}
		}
	}
	for _, l := range s.links.All() {
		if !at.Before(l.CreatedAt.Add(r.opts.Logins.Link)) {
			changed[l.key] = struct{}{}
		}
	}
	for key := range changed {
		if err := r.updateLogins(ctx, key, func(*loginsRecord) error { return nil }); err != nil {
			return err
		}
	}
	return nil
}

// directoryRecord identifies the data directory, so that servers with different directories on one
// host do not use the same cookie.
type directoryRecord struct {
	ID string `json:"id"`
}

// DirectoryID returns a random id of the data directory. It stays the same across restarts, and is
// in no backup.
func (r *Registry) DirectoryID() string { return r.directory }

// identify reads the id of the directory, or makes one. A full disk must not prevent reads: the
// directory then has an id until the next start.
func (r *Registry) identify(ctx context.Context) {
	made := directoryRecord{newID("directory")}
	err := r.update(ctx, directoryKey, func(old []byte) (any, error) {
		var has directoryRecord
		if old != nil && envelope.Decode(old, &has) == nil && has.ID != "" {
			made = has
			return nil, nil
		}
		return made, nil
	})
	if err != nil {
		r.log.Warn("the data directory could not be given an id; people who have signed in must do so again after the next start", "error", err)
	}
	r.directory = made.ID
}

// withoutLogins returns the snapshot without what belongs to one directory and one time: a login
// that has ended since must not come back with a backup.
func (s *snapshot) withoutLogins() *snapshot {
	next := s.copy()
	for key := range s.records.All() {
		if key == directoryKey || strings.HasPrefix(key, loginRecords+".") {
			next.records.Remove(key)
		}
	}
	return next
}
