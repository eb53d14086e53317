package httpapi

import (
	"net/http"
	"strings"

	"theeye/internal/event"
)

func (s *Server) legacySave(c *Call) error {
	receipt, err := s.collect(c, s.opts.LegacyApp, "")
	if err != nil {
		return err
	}
	if err := s.settle(c.ctx(), &receipt); err != nil { // a 201 could be read at once
		return err
	}
	if problems := receipt.Items[0].Problems; len(problems) > 0 {
		return writeJSON(c.w, http.StatusBadRequest, LegacyMessage{legacyMessage(problems)})
	}
	return writeJSON(c.w, http.StatusCreated, LegacyMessage{"Event has been Saved!"})
}

// legacyMessage names the first missing field in the order in which the first
// Eye looked, else the first problem.
func legacyMessage(problems []event.Problem) any {
	for _, field := range []string{"session_id", "category", "name", "data", "timestamp"} {
		for _, p := range problems {
			if p.Pointer == "/"+field && (p.Code == event.MissingField || p.Code == event.TimestampMissing) {
				return map[string]string{field: p.Message}
			}
		}
	}
	p := problems[0]
	if p.Pointer == "" {
		return p.Message
	}
	return strings.TrimPrefix(p.Pointer, "/") + ": " + p.Message
}
