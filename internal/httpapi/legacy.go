package httpapi

import (
	"net/http"
	"strings"
)

// legacyPath is the one address of the service that The Eye replaces. Its
// callers must not notice the change: this file keeps to its manners, which are
// not those of the rest.
const legacyPath = "/event/"

const legacyTag = "the first Eye"

func legacyRoutes() []route {
	filter := []param{
		{name: "filter", text: "`session_id,<id>`, `category,<category>` or `time`"},
		{name: "init_time", text: "with filter=time, inclusive; also in a JSON body"},
		{name: "end_time", text: "with filter=time, inclusive; also in a JSON body"},
	}
	return []route{
		{"POST", legacyPath, open, (*Server).legacySave, doc{
			id: "legacySave", tag: legacyTag, summary: "Save one event, as the first Eye did",
			body:    schemaOf[SentEvent](),
			answers: []answer{{201, "saved", schemaOf[LegacyMessage]()}, {400, "refused", schemaOf[LegacyMessage]()}},
			errors:  []int{403, 413, 415, 429, 503}}},
		{"GET", legacyPath, open, (*Server).legacyList, doc{
			id: "legacyList", tag: legacyTag, summary: "List events, as the first Eye did", params: filter,
			answers: []answer{{200, "the events by time", schemaOf[LegacyEvents]()}, {400, "refused", schemaOf[LegacyMessage]()}}, errors: []int{404, 503}}},
	}
}

// LegacyMessage is what the first Eye said.
type LegacyMessage struct {
	Message any `json:"message"`
}

// refuse answers a request that no route takes, in the manners of its path.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, p *ProblemDetails) {
	if s.opts.LegacyApp != "" && strings.TrimSuffix(r.URL.Path, "/")+"/" == legacyPath {
		writeLegacyError(w, p)
		return
	}
	writeProblem(w, p)
}

func writeLegacyError(w http.ResponseWriter, p *ProblemDetails) {
	p.setHeaders(w.Header())
	_ = writeJSON(w, p.Status, LegacyMessage{strings.ToValidUTF8(withoutKeys(p.Detail), "\uFFFD")})
}
