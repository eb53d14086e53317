package admin

import (
	"encoding/base64"
	"net/http"
	"reflect"
	"time"

	"theeye/internal/httpapi"
	"theeye/internal/registry"
)

func (h *Handlers) keyRoutes() []httpapi.Route {
	app := httpapi.Param{Name: "app", In: "path", Text: "the application", Required: true}
	keyID := httpapi.Param{Name: "key_id", In: "path", Text: "the key's id", Required: true}
	return []httpapi.Route{
		{Method: "GET", Path: "/v1/apps/{app}/keys", Access: httpapi.ForAdmin, Handle: h.listKeys, Doc: httpapi.Doc{
			ID: "listAppKeys", Tag: "applications and keys", Summary: "List the keys of an application", Params: []httpapi.Param{app},
			Answers: []httpapi.Answer{httpapi.JSON[KeysAnswer](200, "oldest first")}, Errors: []int{404}}},
		{Method: "POST", Path: "/v1/apps/{app}/keys", Access: httpapi.ForAdmin, Handle: h.createKey, Doc: httpapi.Doc{
			ID: "createAppKey", Tag: "applications and keys", Summary: "Create a write or a read key for an application", Params: []httpapi.Param{app}, Body: reflect.TypeFor[KeyRequest](),
			Answers: []httpapi.Answer{httpapi.JSON[NewKey](201, "created; the secret is shown only once")}, Errors: []int{400, 404, 413, 422, 503}}},
		{Method: "DELETE", Path: "/v1/apps/{app}/keys/{key_id}", Access: httpapi.ForAdmin, Handle: h.revokeKey, Doc: httpapi.Doc{
			ID: "revokeAppKey", Tag: "applications and keys", Summary: "Revoke a key of an application; takes effect before the answer", Params: []httpapi.Param{app, keyID},
			Answers: []httpapi.Answer{httpapi.Plain(204, "revoked")}, Errors: []int{404, 503}}},
		{Method: "GET", Path: "/v1/keys", Access: httpapi.ForAdmin, Handle: h.listKeys, Doc: httpapi.Doc{
			ID: "listKeys", Tag: "applications and keys", Summary: "List keys that are valid for all applications", Answers: []httpapi.Answer{httpapi.JSON[KeysAnswer](200, "oldest first")}}},
		{Method: "POST", Path: "/v1/keys", Access: httpapi.ForAdmin, Handle: h.createKey, Doc: httpapi.Doc{
			ID: "createKey", Tag: "applications and keys", Summary: "Create a read key for all applications, or an admin key", Body: reflect.TypeFor[KeyRequest](),
			Answers: []httpapi.Answer{httpapi.JSON[NewKey](201, "created; the secret is shown only once")}, Errors: []int{400, 413, 422, 503}}},
		{Method: "DELETE", Path: "/v1/keys/{key_id}", Access: httpapi.ForAdmin, Handle: h.revokeKey, Doc: httpapi.Doc{
			ID: "revokeKey", Tag: "applications and keys", Summary: "Revoke a key that is valid for all applications; takes effect before the answer", Params: []httpapi.Param{keyID},
			Answers: []httpapi.Answer{httpapi.Plain(204, "revoked")}, Errors: []int{404, 503}}},
	}
}

// KeyRequest describes a new key.
type KeyRequest struct {
	Kind      registry.Kind `json:"kind" enum:"write,read,admin"`
	ExpiresAt *time.Time    `json:"expires_at,omitempty" doc:"RFC 3339, in the future; the time at which the key expires"`
	Origins   []string      `json:"origins,omitempty" doc:"for a write key: the only origins that may use it, as scheme://host or scheme://host:port, at most 50; the Origin header is then required and must be one of them"`
	Signing   bool          `json:"signing,omitzero" doc:"for a write key of a server: each request must be signed"`
}

// NewKey is a key with its secret.
type NewKey struct {
	KeyID         string        `json:"key_id"`
	App           *string       `json:"app" doc:"null for keys that are valid for all applications"`
	Kind          registry.Kind `json:"kind" enum:"write,read,admin"`
	Key           string        `json:"key" doc:"the secret, which is not stored"`
	SigningSecret string        `json:"signing_secret,omitzero" doc:"the signing secret of a key with signing, which is not stored"`
	KeyRules
}

// KeyRules say when, from where and how a key may be used.
type KeyRules struct {
	ExpiresAt *string  `json:"expires_at" format:"date-time"`
	Origins   []string `json:"origins" doc:"the only origins that may use it; empty for no restriction"`
	Signing   bool     `json:"signing" doc:"whether requests must be signed"`
}

// Key is a key without its secret.
type Key struct {
	KeyID      string        `json:"key_id"`
	App        *string       `json:"app"`
	Kind       registry.Kind `json:"kind" enum:"write,read,admin"`
	CreatedAt  string        `json:"created_at" format:"date-time"`
	RevokedAt  *string       `json:"revoked_at" format:"date-time"`
	LastUsedAt *string       `json:"last_used_at" format:"date-time" doc:"to the second; null if it was never used"`
	Unknown    []string      `json:"unknown,omitempty" doc:"restrictions of a newer version that this one does not know, for which the key is refused"`
	KeyRules
}

// KeysAnswer lists keys.
type KeysAnswer struct {
	Keys []Key `json:"keys"`
}

func toKey(k *registry.Key) Key {
	return Key{
		KeyID: k.ID, App: httpapi.TextOrNull(k.App), Kind: k.Kind, CreatedAt: httpapi.FormatTime(k.CreatedAt),
		RevokedAt: httpapi.TimeOrNull(k.RevokedAt), LastUsedAt: httpapi.TimeOrNull(k.LastUsedAt), Unknown: k.Unknown, KeyRules: toRules(k.Restrictions),
	}
}

func toRules(rules registry.Restrictions) KeyRules {
	return KeyRules{httpapi.TimeOrNull(rules.ExpiresAt), rules.Origins, rules.Signing}
}

// keysApp returns the application of a route about keys; "" for /v1/keys.
func (h *Handlers) keysApp(c *httpapi.Call) (string, error) {
	if c.PathValue("app") == "" {
		return "", nil
	}
	a, err := h.app(c)
	return a.Name, err
}

func (h *Handlers) listKeys(c *httpapi.Call) error {
	app, err := h.keysApp(c)
	if err != nil {
		return err
	}
	return c.WriteJSON(http.StatusOK, KeysAnswer{httpapi.MapSlice(h.opts.Registry.Keys(app), toKey)})
}

func (h *Handlers) createKey(c *httpapi.Call) error {
	app, err := h.keysApp(c)
	if err != nil {
		return err
	}
	var req KeyRequest
	if err := c.ReadJSON(&req); err != nil {
		return err
	}
	k, secret, err := h.opts.Registry.CreateRestrictedKey(c.Context(), app, req.Kind, registry.Restrictions{
		ExpiresAt: req.ExpiresAt, Origins: req.Origins, Signing: req.Signing,
	})
	if err != nil {
		return err
	}
	made := NewKey{KeyID: k.ID, App: httpapi.TextOrNull(k.App), Kind: k.Kind, Key: secret, KeyRules: toRules(k.Restrictions)}
	if k.Signing {
		made.SigningSecret = "whsec_" + base64.StdEncoding.EncodeToString(registry.SigningKey(secret))
	}
	return c.WriteJSON(http.StatusCreated, made)
}

func (h *Handlers) revokeKey(c *httpapi.Call) error {
	app, err := h.keysApp(c)
	if err != nil {
		return err
	}
	if err := h.opts.Registry.RevokeKey(c.Context(), app, c.PathValue("key_id")); err != nil {
		return err
	}
	return c.NoContent()
}
