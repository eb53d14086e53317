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

func legacyRoutes() []Route {
	filter := []Param{
		{Name: "filter", Text: "`session_id,<id>`, `category,<category>` or `time`"},
		{Name: "init_time", Text: "with filter=time, inclusive; also in a JSON body"},
		{Name: "end_time", Text: "with filter=time, inclusive; also in a JSON body"},
	}
	return []Route{
		{"POST", legacyPath, Open, (*Server).legacySave, Doc{
			ID: "legacySave", Tag: legacyTag, Summary: "Save one event, as the first Eye did",
			Body:    schemaOf[SentEvent](),
			Answers: []Answer{{201, "saved", schemaOf[LegacyMessage]()}, {400, "refused", schemaOf[LegacyMessage]()}},
			Errors:  []int{403, 413, 415, 429, 503}}},
		{"GET", legacyPath, Open, (*Server).legacyList, Doc{
			ID: "legacyList", Tag: legacyTag, Summary: "List events, as the first Eye did", Params: filter,
			Answers: []Answer{{200, "the events by time", schemaOf[LegacyEvents]()}, {400, "refused", schemaOf[LegacyMessage]()}}, Errors: []int{404, 503}}},
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
	_ = writeJSON(w, p.Status, LegacyMessage{strings.ToValidUTF8(RedactKeys(p.Detail), "\uFFFD")})
}
