package read

import (
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"theeye/internal/event"
	"theeye/internal/httpapi"
	"theeye/internal/query"
	"theeye/internal/store"
)

// Event is an event in an answer.
type Event struct {
	App           string         `json:"app"`
	ID            uuid.UUID      `json:"id"`
	ClientID      string         `json:"client_id,omitzero" doc:"the id as sent, if that was not a UUID"`
	SessionID     string         `json:"session_id"`
	Category      string         `json:"category"`
	Name          string         `json:"name"`
	Data          jsontext.Value `json:"data"`
	Timestamp     jsontext.Value `json:"timestamp" doc:"as sent: text or number"`
	OccurredAt    string         `json:"occurred_at" format:"date-time" doc:"UTC, with microseconds; corrected when the sender's clock was wrong"`
	ReceivedAt    string         `json:"received_at" format:"date-time"`
	SentAt        *string        `json:"sent_at" format:"date-time"`
	Seq           *int64         `json:"seq"`
	Sender        *string        `json:"sender"`
	CorrectedByMS float64        `json:"corrected_by_ms,omitzero" doc:"what was added to the timestamp to get occurred_at, because the sender's clock was off by more than the tolerance; absent if nothing was"`
	SchemaVersion uint32         `json:"schema_version" doc:"the version of its type's schema that validated it; 0 for none"`
}

func toEvent(e *event.Event) Event {
	v := Event{
		App: e.App, ID: e.ID, ClientID: e.ClientID, SessionID: e.SessionID, Category: e.Category, Name: e.Name,
		Data: e.Data, Timestamp: timestampJSON(e), OccurredAt: e.OccurredAt.String(), ReceivedAt: e.ReceivedAt.String(),
		SentAt: httpapi.MicrosOrNull(e.SentAt), SchemaVersion: e.SchemaVersion,
		CorrectedByMS: httpapi.Milliseconds(e.CorrectedBy()),
	}
	if e.Seq != event.NoSeq {
		v.Seq = &e.Seq
	}
	if e.Sender != "" {
		v.Sender = &e.Sender
	}
	return v
}

func timestampJSON(e *event.Event) jsontext.Value {
	if e.TimestampIsNumber() {
		return jsontext.Value(e.Timestamp)
	}
	quoted, _ := jsontext.AppendQuote(nil, e.Timestamp)
	return quoted
}

// Session is the summary of a session.
type Session struct {
	SessionID string   `json:"session_id"`
	Apps      []string `json:"apps"`
	StartedAt string   `json:"started_at" format:"date-time"`
	EndedAt   string   `json:"ended_at" format:"date-time"`
	Events    int64    `json:"events"`

	Rejections int64      `json:"rejections" doc:"rejections of the session that no replay has resolved"`
	First      SessionEnd `json:"first" doc:"the first event"`
	Last       SessionEnd `json:"last" doc:"the last event"`
}

// SessionEnd describes the first or the last event of a session.
type SessionEnd struct {
	Category string  `json:"category"`
	Name     string  `json:"name"`
	Path     *string `json:"path" doc:"data.path, cut after 200 characters; null if it is not a string"`
}

func toSessionEnd(e store.SessionEnd) SessionEnd {
	return SessionEnd{e.Category, e.Name, httpapi.TextOrNull(e.Path)}
}

// sessionsOf returns the sessions of a page with their ends.
func (h *Handlers) sessionsOf(r *readRequest, page store.Page[store.Session]) ([]Session, error) {
	ends, err := h.opts.Reader.SessionEnds(r.ctx, query.Query{Apps: r.Apps, Horizon: page.Horizon}, page.Items)
	if err != nil {
		return nil, err
	}
	list := make([]Session, len(page.Items))
	for i, s := range page.Items {
		list[i] = Session{
			SessionID: s.ID, Apps: s.Apps, StartedAt: s.StartedAt.String(), EndedAt: s.EndedAt.String(), Events: s.Events,
			Rejections: ends[i].Rejections, First: toSessionEnd(ends[i].First), Last: toSessionEnd(ends[i].Last),
		}
	}
	return list, nil
}

// Rejection is an arrival that was refused.
type Rejection struct {
	ID            uuid.UUID       `json:"id"`
	EventID       uuid.UUID       `json:"event_id"`
	ClientID      string          `json:"client_id,omitzero"`
	App           string          `json:"app"`
	SessionID     string          `json:"session_id" doc:"empty if it could not be read"`
	Category      string          `json:"category"`
	Name          string          `json:"name"`
	ReceivedAt    string          `json:"received_at" format:"date-time"`
	SchemaVersion uint32          `json:"schema_version"`
	Problems      []event.Problem `json:"problems"`
	Raw           *string         `json:"raw,omitempty" doc:"the event as sent"`
	RawBase64     []byte          `json:"raw_base64,omitempty" doc:"instead of raw, if that is not UTF-8"`
	Truncated     bool            `json:"truncated,omitzero" doc:"raw holds only the beginning of an event that was too large; the rejection cannot be replayed"`
	Bytes         int64           `json:"bytes,omitzero" doc:"of the whole event, if it is truncated"`
	SHA256        string          `json:"sha256,omitzero" doc:"of the whole event, in hexadecimal, if it is truncated"`
	Became        *Became         `json:"became,omitempty" doc:"the result of the replay that resolved it; absent until then"`
}

// Became is the result of the replay that resolved a rejection.
type Became struct {
	EventID uuid.UUID `json:"event_id"`
	Fate    string    `json:"fate" enum:"stored,duplicate,erased,expired"`
	ReplayedBy
}

// ReplayedBy names a replay.
type ReplayedBy struct {
	Frame    uint64     `json:"frame" doc:"the frame that carried it"`
	ReplayID *uuid.UUID `json:"replay_id,omitempty" doc:"absent if the replay is no longer known"`
	At       string     `json:"at,omitzero" format:"date-time" doc:"when the replay started"`
}

// replayedBy names the replay that a frame belongs to.
func (h *Handlers) replayedBy(frame uint64) ReplayedBy {
	by := ReplayedBy{Frame: frame}
	if h.opts.Replays != nil {
		if id, at, ok := h.opts.Replays.ByFrame(frame); ok {
			by.ReplayID, by.At = &id, at.String()
		}
	}
	return by
}

// Position is the place of an arrival.
type Position struct {
	Frame uint64 `json:"frame"`
	Index uint32 `json:"index"`
}

// Arrival is one line of a receipt.
type Arrival struct {
	Position   Position        `json:"position"`
	ReceivedAt string          `json:"received_at" format:"date-time"`
	Fate       string          `json:"fate" enum:"pending,stored,rejected,duplicate,erased,expired"`
	Problems   []event.Problem `json:"problems"`
	Replay     *ReplayedBy     `json:"replay,omitempty" doc:"the replay that carried it again, at this position; absent for the first arrival"`
}
