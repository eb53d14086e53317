package read

import (
	"bufio"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"theeye/internal/event"
)

// encodeNDJSON writes one event per line, in the format of Call.WriteJSON.
func encodeNDJSON(w *bufio.Writer) func(*event.Event) error {
	encoder := jsontext.NewEncoder(w, jsontext.PreserveRawStrings(true), jsontext.AllowDuplicateNames(true))
	return func(e *event.Event) error {
		v := toEvent(e)
		return json.MarshalEncode(encoder, &v)
	}
}

// csvFields returns the columns of a CSV file in order.
func csvFields() []string {
	return []string{"app", "id", "client_id", "session_id", "category", "name", "data", "timestamp",
		"occurred_at", "received_at", "sent_at", "seq", "sender", "schema_version"}
}

// csvEncoder returns the encoder of CSV according to RFC 4180; missing values are empty. Values are
// written as they were sent, unless safe is set: then an apostrophe comes before those that a
// spreadsheet would take for a formula. encoding/csv does not fit, because with UseCRLF it changes
// line breaks inside values.
func csvEncoder(safe bool) func(*bufio.Writer) func(*event.Event) error {
	return func(w *bufio.Writer) func(*event.Event) error { return encodeCSV(w, safe) }
}

func encodeCSV(w *bufio.Writer, safe bool) func(*event.Event) error {
	_, _ = w.WriteString(strings.Join(csvFields(), ",") + "\r\n") // w keeps an error
	var line []byte
	field := func(text string) {
		if safe && text != "" && strings.IndexByte("=+-@\t\r", text[0]) >= 0 {
			text = "'" + text
		}
		line = appendCSV(line, text)
	}
	return func(e *event.Event) error {
		line = line[:0]
		for _, text := range []string{e.App, e.ID.String(), e.ClientID, e.SessionID, e.Category, e.Name, string(e.Data), e.Timestamp,
			e.OccurredAt.String(), e.ReceivedAt.String()} {
			field(text)
		}
		if e.SentAt != 0 {
			field(e.SentAt.String())
		} else {
			field("")
		}
		if e.Seq != event.NoSeq {
			field(strconv.FormatInt(e.Seq, 10))
		} else {
			field("")
		}
		field(e.Sender)
		field(strconv.FormatUint(uint64(e.SchemaVersion), 10))
		line = append(line[:len(line)-1], '\r', '\n')
		_, err := w.Write(line)
		return err
	}
}

// appendCSV appends a field and a comma.
func appendCSV(line []byte, text string) []byte {
	if !strings.ContainsAny(text, "\",\r\n") {
		return append(append(line, text...), ',')
	}
	line = append(line, '"')
	for {
		before, after, found := strings.Cut(text, `"`)
		line = append(line, before...)
		if !found {
			return append(line, '"', ',')
		}
		line = append(line, '"', '"')
		text = after
	}
}
