package event_test

import (
	"errors"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"
	"pgregory.net/rapid"

	"theeye/internal/event"
)

func texts() *rapid.Generator[string] {
	return rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", "s", someID, strings.ToUpper(someID), "\x00", strings.Repeat("é", 200)}))
}

func ids() *rapid.Generator[uuid.UUID] {
	return rapid.Custom(func(t *rapid.T) uuid.UUID {
		return uuid.UUID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id"))
	})
}

func times() *rapid.Generator[event.Micros] {
	return rapid.Custom(func(t *rapid.T) event.Micros { return event.Micros(rapid.Int64().Draw(t, "time")) })
}

func positions() *rapid.Generator[event.Position] {
	return rapid.Custom(func(t *rapid.T) event.Position {
		return event.Position{Frame: rapid.Uint64().Draw(t, "frame"), Index: rapid.Uint32().Draw(t, "index")}
	})
}

func records() *rapid.Generator[event.Record] {
	return rapid.Custom(func(t *rapid.T) event.Record {
		text := func(label string) string { return texts().Draw(t, label) }
		if rapid.Bool().Draw(t, "refused") {
			r := &event.Rejection{
				ID: ids().Draw(t, "id"), EventID: ids().Draw(t, "event id"), ClientID: text("client id"), App: text("app"),
				SessionID: text("session"), Category: text("category"), Name: text("name"),
				SentTime: times().Draw(t, "sent time"), SentAt: times().Draw(t, "sent at"), ReceivedAt: times().Draw(t, "received"),
				Position: positions().Draw(t, "position"), SchemaVersion: rapid.Uint32().Draw(t, "version"),
				Raw: rapid.SliceOf(rapid.Byte()).Draw(t, "raw"),
			}
			if rapid.Bool().Draw(t, "truncated") {
				r.Whole = event.BodyOf(rapid.SliceOfN(rapid.Byte(), 1, 9).Draw(t, "whole"))
			}
			if rapid.Bool().Draw(t, "has a former id") {
				r.FormerID = ids().Draw(t, "former id")
			}
			for range rapid.IntRange(0, 3).Draw(t, "problems") {
				r.Problems = append(r.Problems, event.Problem{Code: text("code"), Pointer: text("pointer"), Message: text("message")})
			}
			return event.Record{Rejection: r}
		}
		var former uuid.UUID
		if rapid.Bool().Draw(t, "has a former id") {
			former = ids().Draw(t, "former id")
		}
		return event.Record{Event: &event.Event{
			App: text("app"), ID: ids().Draw(t, "id"), FormerID: former, ClientID: text("client id"), SessionID: text("session"),
			Category: text("category"), Name: text("name"), Data: rapid.SliceOf(rapid.Byte()).Draw(t, "data"),
			Timestamp: text("timestamp"), Sender: text("sender"),
			Seq:      rapid.OneOf(rapid.Just(event.NoSeq), rapid.Int64Range(0, event.MaxSeq)).Draw(t, "seq"),
			SentTime: times().Draw(t, "sent time"), SentAt: times().Draw(t, "sent at"),
			OccurredAt: times().Draw(t, "occurred"), ReceivedAt: times().Draw(t, "received"),
			Position: positions().Draw(t, "position"), SchemaVersion: rapid.Uint32().Draw(t, "version"),
		}}
	})
}

// encode writes records into one frame. Records of replays keep their position.
func encode(list []event.Record, positioned bool) []byte {
	var body []byte
	for _, r := range list {
		body = event.AppendRecord(body, r, positioned)
	}
	return body
}

func carried(list []event.Record, frame uint64) {
	for _, r := range list {
		if r.Event != nil {
			r.Event.CarriedBy = frame
		} else {
			r.Rejection.CarriedBy = frame
		}
	}
}

func TestRecordsRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.SliceOfN(records(), 0, 5).Draw(t, "records")
		frame := rapid.Uint64().Draw(t, "frame")
		carried(list, frame)
		got, err := event.DecodeRecords(encode(list, true), frame)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(list, got, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("positioned (-want +got):\n%s", diff)
		}
		if got, err = event.DecodeRecords(encode(list, false), frame); err != nil {
			t.Fatal(err)
		}
		for i, r := range list {
			at := event.Position{Frame: frame, Index: uint32(i)}
			if r.Event != nil {
				r.Event.Position = at
			} else {
				r.Rejection.Position = at
			}
		}
		if diff := cmp.Diff(list, got, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("by the place in the frame (-want +got):\n%s", diff)
		}
	})
}

func TestRecordTellsWhoseAndWhere(t *testing.T) {
	t.Parallel()
	e := sample()
	for _, r := range []event.Record{{Event: e}, {Rejection: event.Conflict(e)}} {
		if r.App() != "shop" || r.Position() != e.Position {
			t.Errorf("got %s at %+v", r.App(), r.Position())
		}
	}
}

// A frame that is truncated anywhere, or followed by anything, is corrupt as a whole.
func TestDecodeRecordsRefuses(t *testing.T) {
	t.Parallel()
	for _, r := range []event.Record{{Event: sample()}, {Rejection: event.Conflict(sample())}} {
		for _, positioned := range []bool{false, true} {
			whole := event.AppendRecord(nil, r, positioned)
			for n := 1; n < len(whole); n++ {
				if _, err := event.DecodeRecords(whole[:n:n], 1); !errors.Is(err, event.ErrCorruptRecord) {
					t.Fatalf("%d of %d bytes: %v", n, len(whole), err)
				}
			}
			for _, tail := range []string{"\x00", "\x03\x00", "\x01"} {
				if _, err := event.DecodeRecords(append(slices.Clone(whole), tail...), 1); !errors.Is(err, event.ErrCorruptRecord) {
					t.Errorf("with a tail of %q: %v", tail, err)
				}
			}
		}
	}
	if got, err := event.DecodeRecords(nil, 1); err != nil || len(got) != 0 {
		t.Errorf("nothing: %v, %v", got, err)
	}
	tooLarge := sample()
	tooLarge.Seq = event.MaxSeq + 1
	if _, err := event.DecodeRecords(event.AppendRecord(nil, event.Record{Event: tooLarge}, false), 1); !errors.Is(err, event.ErrCorruptRecord) {
		t.Errorf("a seq that is too large: %v", err)
	}
}

// A short input must not allocate much memory, whatever count of problems it states. The test is
// not parallel, because it measures the whole process.
func TestDecodeRecordsBoundsProblems(t *testing.T) {
	r := event.Conflict(sample())
	r.Problems, r.Raw = nil, nil
	b := event.AppendRecord(nil, event.Record{Rejection: r}, false)
	b = append(b[:len(b)-2], 0xff, 0xff, 0x3f) // 2^20 - 1 problems
	b = append(b, slices.Repeat([]byte{0xff}, 1<<20)...)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := event.DecodeRecords(b, 1)
	runtime.ReadMemStats(&after)
	if !errors.Is(err, event.ErrCorruptRecord) {
		t.Fatal(err)
	}
	if got := after.TotalAlloc - before.TotalAlloc; got > 4*uint64(len(b)) {
		t.Errorf("%d bytes of memory for %d of input", got, len(b))
	}
}

// No input causes a panic, and decoded records survive encoding and decoding.
func FuzzDecodeRecords(f *testing.F) {
	f.Add([]byte(nil), uint64(1))
	f.Add(encode([]event.Record{{Event: sample()}, {Rejection: event.Conflict(sample())}}, false), uint64(1))
	f.Add(encode([]event.Record{{Rejection: event.Conflict(sample())}, {Event: sample()}}, true), uint64(9))
	f.Add([]byte{1, 2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, uint64(1))
	f.Add([]byte("00"), uint64(1)) // of a newer version
	f.Fuzz(func(t *testing.T, body []byte, frame uint64) {
		first, err := event.DecodeRecords(body, frame)
		if err != nil {
			if !errors.Is(err, event.ErrCorruptRecord) && !errors.Is(err, event.ErrNewerRecord) || first != nil {
				t.Fatalf("got %v, %v", first, err)
			}
			return
		}
		second, err := event.DecodeRecords(encode(first, true), frame)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(first, second, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("(-first +second):\n%s", diff)
		}
	})
}
