package httpapi

import (
	"encoding/base64"
	"net/http"
	"reflect"
	"time"

	"theeye/internal/registry"
)

func keyRoutes() []Route {
	app := Param{Name: "app", In: "path", Text: "the application", Required: true}
	keyID := Param{Name: "key_id", In: "path", Text: "the key's id", Required: true}
	ok := func(status int, text string, body reflect.Type) []Answer { return []Answer{{status, text, body}} }
	return []Route{
		{"GET", "/v1/apps/{app}/keys", ForAdmin, (*Server).listKeys, Doc{
			ID: "listAppKeys", Tag: "applications and keys", Summary: "The keys of an application", Params: []Param{app},
			Answers: ok(200, "oldest first", schemaOf[KeysAnswer]()), Errors: []int{404}}},
		{"POST", "/v1/apps/{app}/keys", ForAdmin, (*Server).createKey, Doc{
			ID: "createAppKey", Tag: "applications and keys", Summary: "Make a write or a read key of an application", Params: []Param{app}, Body: schemaOf[KeyRequest](),
			Answers: ok(201, "made; the secret is shown only once", schemaOf[NewKey]()), Errors: []int{400, 404, 413, 422, 503}}},
		{"DELETE", "/v1/apps/{app}/keys/{key_id}", ForAdmin, (*Server).revokeKey, Doc{
			ID: "revokeAppKey", Tag: "applications and keys", Summary: "Revoke a key of an application; in force before the answer", Params: []Param{app, keyID},
			Answers: ok(204, "revoked", nil), Errors: []int{404, 503}}},
		{"GET", "/v1/keys", ForAdmin, (*Server).listKeys, Doc{
			ID: "listKeys", Tag: "applications and keys", Summary: "The keys of all applications", Answers: ok(200, "oldest first", schemaOf[KeysAnswer]())}},
		{"POST", "/v1/keys", ForAdmin, (*Server).createKey, Doc{
			ID: "createKey", Tag: "applications and keys", Summary: "Make a read key of all applications, or an admin key", Body: schemaOf[KeyRequest](),
			Answers: ok(201, "made; the secret is shown only once", schemaOf[NewKey]()), Errors: []int{400, 413, 422, 503}}},
		{"DELETE", "/v1/keys/{key_id}", ForAdmin, (*Server).revokeKey, Doc{
			ID: "revokeKey", Tag: "applications and keys", Summary: "Revoke a key of all applications; in force before the answer", Params: []Param{keyID},
			Answers: ok(204, "revoked", nil), Errors: []int{404, 503}}},
	}
}

// KeyRequest makes a key.
type KeyRequest struct {
	Kind      registry.Kind `json:"kind" enum:"write,read,admin"`
	ExpiresAt *time.Time    `json:"expires_at,omitempty" doc:"RFC 3339, in the future; the key is not valid from then on"`
	Origins   []string      `json:"origins,omitempty" doc:"of a write key: the only origins that may use it, scheme://host or scheme://host:port, at most 50; an Origin is then required and must be one of them"`
	Signing   bool          `json:"signing,omitzero" doc:"of a write key for servers: each request must be signed"`
}

// NewKey is a key with its secret.
type NewKey struct {
	KeyID         string        `json:"key_id"`
	App           *string       `json:"app" doc:"null for keys of all applications"`
	Kind          registry.Kind `json:"kind" enum:"write,read,admin"`
	Key           string        `json:"key" doc:"the secret; it is kept nowhere"`
	SigningSecret string        `json:"signing_secret,omitzero" doc:"of a key with signing: what its requests are signed with; it is kept nowhere"`
	KeyRules
}

// KeyRules say when, from where and how a key may be used.
type KeyRules struct {
	ExpiresAt *string  `json:"expires_at" format:"date-time"`
	Origins   []string `json:"origins" doc:"the only origins that may use it; empty when it asks for none"`
	Signing   bool     `json:"signing" doc:"whether requests must be signed"`
}

// Key is a key without its secret.
type Key struct {
	KeyID      string        `json:"key_id"`
	App        *string       `json:"app"`
	Kind       registry.Kind `json:"kind" enum:"write,read,admin"`
	CreatedAt  string        `json:"created_at" format:"date-time"`
	RevokedAt  *string       `json:"revoked_at" format:"date-time"`
	LastUsedAt *string       `json:"last_used_at" format:"date-time" doc:"to the second; null when it was never used"`
	Unknown    []string      `json:"unknown,omitempty" doc:"restrictions by a newer version that this one does not know: the key is refused"`
	KeyRules
}

// KeysAnswer lists keys.
type KeysAnswer struct {
	Keys []Key `json:"keys"`
}

func toKey(k *registry.Key) Key {
	return Key{
		KeyID: k.ID, App: appOrNull(k.App), Kind: k.Kind, CreatedAt: FormatTime(k.CreatedAt),
		RevokedAt: TimeOrNull(k.RevokedAt), LastUsedAt: TimeOrNull(k.LastUsedAt), Unknown: k.Unknown, KeyRules: toRules(k.Restrictions),
	}
}

func toRules(rules registry.Restrictions) KeyRules {
	return KeyRules{TimeOrNull(rules.ExpiresAt), rules.Origins, rules.Signing}
}

func appOrNull(name string) *string {
	if name == "" {
		return nil
	}
	return &name
}

// keysApp returns the application of a route about keys; "" for /v1/keys.
func (s *Server) keysApp(c *Call) (string, error) {
	if c.PathValue("app") == "" {
		return "", nil
	}
	a, err := s.app(c)
	return a.Name, err
}

func (s *Server) listKeys(c *Call) error {
	app, err := s.keysApp(c)
	if err != nil {
		return err
	}
	return writeJSON(c.w, http.StatusOK, KeysAnswer{MapSlice(s.opts.Registry.Keys(app), toKey)})
}

func (s *Server) createKey(c *Call) error {
	app, err := s.keysApp(c)
	if err != nil {
		return err
	}
	var req KeyRequest
	if err := readJSON(c, &req); err != nil {
		return err
	}
	k, secret, err := s.opts.Registry.CreateRestrictedKey(c.ctx(), app, req.Kind, registry.Restrictions{
		ExpiresAt: req.ExpiresAt, Origins: req.Origins, Signing: req.Signing,
	})
	if err != nil {
		return err
	}
	made := NewKey{KeyID: k.ID, App: appOrNull(k.App), Kind: k.Kind, Key: secret, KeyRules: toRules(k.Restrictions)}
	if k.Signing {
		made.SigningSecret = "whsec_" + base64.StdEncoding.EncodeToString(registry.SigningKey(secret))
	}
	return writeJSON(c.w, http.StatusCreated, made)
}

func (s *Server) revokeKey(c *Call) error {
	app, err := s.keysApp(c)
	if err != nil {
		return err
	}
	if err := s.opts.Registry.RevokeKey(c.ctx(), app, c.PathValue("key_id")); err != nil {
		return err
	}
	return noContent(c)
}
