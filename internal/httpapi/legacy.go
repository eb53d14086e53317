package httpapi

import (
	"net/http"
	"reflect"
	"strings"
)

// legacyPath is the only path of an earlier service that The Eye replaces where --legacy-app is
// given. Its callers must not notice the change, so its routes keep the formats of that service.
const legacyPath = "/event/"

const legacyTag = "legacy"

// LegacyRoute returns a route of the legacy path, which serves one application to callers without a
// key.
func LegacyRoute(method, app string, handle func(*Call) error, doc Doc) Route {
	doc.Tag = legacyTag
	doc.Answers = append(doc.Answers, JSON[LegacyMessage](http.StatusBadRequest, "refused"))
	return Route{
		Method: method, Path: legacyPath, Access: Open, Handle: handle, Doc: doc, App: app, EitherSlash: true,
		Errors: &ErrorForm{Body: reflect.TypeFor[LegacyMessage](), Write: writeLegacyError},
	}
}

// LegacyMessage is the body of a response of the legacy routes.
type LegacyMessage struct {
	Message any `json:"message"`
}

func writeLegacyError(w http.ResponseWriter, p *ProblemDetails) {
	p.setHeaders(w.Header())
	_ = writeJSON(w, p.Status, LegacyMessage{strings.ToValidUTF8(RedactKeys(p.Detail), "\uFFFD")})
}
