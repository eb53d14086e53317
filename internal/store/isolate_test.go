package store_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"theeye/internal/event"
	"theeye/internal/store"
)

// Isolate replaces the records that the store does not accept, unless no single record is at fault.
func TestIsolate(t *testing.T) {
	fault := errors.New("broken")
	refuse := func(bad func(event.Record) bool, with error) store.Probe {
		return func(_ context.Context, records []event.Record) error {
			if slices.ContainsFunc(records, bad) {
				return with
			}
			return nil
		}
	}
	named := func(names ...string) func(event.Record) bool {
		return func(r event.Record) bool { return r.Event != nil && slices.Contains(names, r.Event.SessionID) }
	}
	for name, test := range map[string]struct {
		probe       store.Probe
		want        string // E for an event, R for a rejection with its text, B for a bare one
		quarantined int
		err         error
	}{
		"nothing is refused":      {probe: refuse(named(), fault), want: "EEEEEEEE"},
		"the first and the last":  {probe: refuse(named("0", "7"), fault), want: "REEEEEER"},
		"neighbours":              {probe: refuse(named("3", "4"), fault), want: "EEERREEE"},
		"all, but no plain event": {probe: refuse(named("0", "1", "2", "3", "4", "5", "6", "7"), fault), want: "RRRRRRRR"},
		"its text neither": {probe: refuse(func(r event.Record) bool {
			return named("5")(r) || r.Rejection != nil && r.Rejection.SessionID == "5"
		}, fault), want: "EEEEEBEE", quarantined: 1},
		"a list that is long": {probe: func(_ context.Context, records []event.Record) error {
			if len(records) > 5 {
				return fault
			}
			return nil
		}, err: fault},
		"once": {probe: func() store.Probe {
			asked := 0
			return func(context.Context, []event.Record) error {
				if asked++; asked == 2 {
					return fault
				}
				return nil
			}
		}(), err: fault},
		"a rejection, for now": {probe: func(_ context.Context, records []event.Record) error {
			switch {
			case slices.ContainsFunc(records, named("4")):
				return fault
			case records[0].Rejection != nil:
				return store.ErrUnavailable
			}
			return nil
		}, err: store.ErrUnavailable},
		"every event":          {probe: refuse(func(r event.Record) bool { return r.Event != nil }, fault), err: fault},
		"a store that is away": {probe: refuse(named("2"), store.ErrUnavailable), err: store.ErrUnavailable},
		"every rejection":      {probe: refuse(func(r event.Record) bool { return named("6")(r) || r.Rejection != nil }, fault), quarantined: 1, err: fault},
	} {
		t.Run(name, func(t *testing.T) {
			var records []event.Record
			for i := range 8 {
				records = append(records, event.Record{Event: &event.Event{
					App: "shop", ID: uuid.New(), SessionID: fmt.Sprint(i), Category: "c", Name: "n", Data: []byte("{}"), Seq: event.NoSeq,
				}})
			}
			given := slices.Clone(records)
			quarantined := 0
			i := store.Isolator{Logger: slog.New(slog.DiscardHandler), Quarantine: func(uint64, uint32, []byte) error { quarantined++; return nil }}
			kept, replaced, err := i.Isolate(t.Context(), test.probe, records)
			var got strings.Builder
			for _, r := range kept {
				switch {
				case r.Event != nil:
					got.WriteString("E")
				case r.Rejection.SessionID != "":
					got.WriteString("R")
				default:
					got.WriteString("B")
				}
			}
			if got.String() != test.want || replaced != len(test.want)-strings.Count(test.want, "E") || quarantined != test.quarantined || !errors.Is(err, test.err) {
				t.Errorf("%s, %d replaced, %d quarantined, error %v; want %s, %d and %v", &got, replaced, quarantined, err, test.want, test.quarantined, test.err)
			}
			if !slices.Equal(records, given) {
				t.Error("the records that were given have changed")
			}
		})
	}
}
