package httpapi

import (
	"net/http"
	"reflect"

	"theeye/internal/registry"
)

func keyRoutes() []route {
	app := param{name: "app", in: "path", text: "the application", required: true}
	keyID := param{name: "key_id", in: "path", text: "the key's id", required: true}
	ok := func(status int, text string, body reflect.Type) []answer { return []answer{{status, text, body}} }
	return []route{
		{"GET", "/v1/apps/{app}/keys", forAdmin, (*Server).listKeys, doc{
			id: "listAppKeys", tag: "applications and keys", summary: "The keys of an application", params: []param{app},
			answers: ok(200, "oldest first", schemaOf[KeysAnswer]()), errors: []int{404}}},
		{"POST", "/v1/apps/{app}/keys", forAdmin, (*Server).createKey, doc{
			id: "createAppKey", tag: "applications and keys", summary: "Make a write or a read key of an application", params: []param{app}, body: schemaOf[KeyRequest](),
			answers: ok(201, "made; the secret is shown this once", schemaOf[NewKey]()), errors: []int{400, 404, 422, 503}}},
		{"DELETE", "/v1/apps/{app}/keys/{key_id}", forAdmin, (*Server).revokeKey, doc{
			id: "revokeAppKey", tag: "applications and keys", summary: "Revoke a key of an application; in force before the answer", params: []param{app, keyID},
			answers: ok(204, "revoked", nil), errors: []int{404, 503}}},
		{"GET", "/v1/keys", forAdmin, (*Server).listKeys, doc{
			id: "listKeys", tag: "applications and keys", summary: "The keys of all applications", answers: ok(200, "oldest first", schemaOf[KeysAnswer]())}},
		{"POST", "/v1/keys", forAdmin, (*Server).createKey, doc{
			id: "createKey", tag: "applications and keys", summary: "Make a read key of all applications, or an admin key", body: schemaOf[KeyRequest](),
			answers: ok(201, "made; the secret is shown this once", schemaOf[NewKey]()), errors: []int{400, 422, 503}}},
		{"DELETE", "/v1/keys/{key_id}", forAdmin, (*Server).revokeKey, doc{
			id: "revokeKey", tag: "applications and keys", summary: "Revoke a key of all applications; in force before the answer", params: []param{keyID},
			answers: ok(204, "revoked", nil), errors: []int{404, 503}}},
	}
}

// KeyRequest makes a key.
type KeyRequest struct {
	Kind registry.Kind `json:"kind" enum:"write,read,admin"`
}

// NewKey is a key with its secret.
type NewKey struct {
	KeyID string        `json:"key_id"`
	App   *string       `json:"app" doc:"null for keys of all applications"`
	Kind  registry.Kind `json:"kind" enum:"write,read,admin"`
	Key   string        `json:"key" doc:"the secret; it is kept nowhere"`
}

// Key is a key without its secret.
type Key struct {
	KeyID     string        `json:"key_id"`
	App       *string       `json:"app"`
	Kind      registry.Kind `json:"kind" enum:"write,read,admin"`
	CreatedAt string        `json:"created_at" format:"date-time"`
	RevokedAt *string       `json:"revoked_at" format:"date-time"`
}

// KeysAnswer lists keys.
type KeysAnswer struct {
	Keys []Key `json:"keys"`
}

func viewKey(k *registry.Key) Key {
	v := Key{KeyID: k.ID, App: appOrNull(k.App), Kind: k.Kind, CreatedAt: rfc3339(k.CreatedAt)}
	if k.RevokedAt != nil {
		at := rfc3339(*k.RevokedAt)
		v.RevokedAt = &at
	}
	return v
}

func appOrNull(name string) *string {
	if name == "" {
		return nil
	}
	return &name
}

// keysApp returns the application of a route about keys; "" for /v1/keys.
func (s *Server) keysApp(c *call) (string, error) {
	if c.PathValue("app") == "" {
		return "", nil
	}
	a, err := s.app(c)
	return a.Name, err
}

func (s *Server) listKeys(c *call) error {
	app, err := s.keysApp(c)
	if err != nil {
		return err
	}
	return writeJSON(c.w, http.StatusOK, KeysAnswer{viewAll(s.opts.Registry.Keys(app), viewKey)})
}

func (s *Server) createKey(c *call) error {
	app, err := s.keysApp(c)
	if err != nil {
		return err
	}
	var req KeyRequest
	if err := readJSON(c, &req); err != nil {
		return err
	}
	k, secret, err := s.opts.Registry.CreateKey(c.ctx(), app, req.Kind)
	if err != nil {
		return err
	}
	return writeJSON(c.w, http.StatusCreated, NewKey{k.ID, appOrNull(k.App), k.Kind, secret})
}

func (s *Server) revokeKey(c *call) error {
	app, err := s.keysApp(c)
	if err != nil {
		return err
	}
	if err := s.opts.Registry.RevokeKey(c.ctx(), app, c.PathValue("key_id")); err != nil {
		return err
	}
	return noContent(c)
}
