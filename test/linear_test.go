package test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// The operations on an event id that histories are made of.
type (
	sendBody    struct{ id, body int } // answers accepted, duplicate or id_conflict
	readEvent   struct{ id int }       // answers the body, 0 for none
	readReceipt struct{ id int }       // answers its status, "none" for none
)

// register is the model of an event id: a register that is written once, whatever
// is sent to it (P3, R2). Its state is the body that is stored, 0 for none.
func register() porcupine.Model {
	return porcupine.Model{
		Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
			byID := map[int][]porcupine.Operation{}
			for _, op := range history {
				byID[idOf(op.Input)] = append(byID[idOf(op.Input)], op)
			}
			var parts [][]porcupine.Operation
			for _, part := range byID {
				parts = append(parts, part)
			}
			return parts
		},
		Init: func() any { return 0 },
		Step: func(state, input, output any) (bool, any) {
			stored := state.(int)
			switch in := input.(type) {
			case sendBody:
				switch output {
				case "accepted":
					return stored == 0, in.body
				case "duplicate":
					return stored == in.body, stored
				case "id_conflict":
					return stored != 0 && stored != in.body, stored
				}
			case readEvent:
				return output == stored, stored
			case readReceipt:
				switch output {
				case "stored":
					return stored != 0, stored
				case "pending", "none":
					return stored == 0, stored
				}
			}
			return false, state
		},
		DescribeOperation: func(input, output any) string { return fmt.Sprintf("%T%v: %v", input, input, output) },
	}
}

func idOf(input any) int {
	switch in := input.(type) {
	case sendBody:
		return in.id
	case readEvent:
		return in.id
	case readReceipt:
		return in.id
	}
	panic("unknown operation")
}

// The model tells histories that can be from those that cannot.
func TestTheModelOfAnEventID(t *testing.T) {
	t.Parallel()
	op := func(call, back int64, input, output any) porcupine.Operation {
		return porcupine.Operation{Input: input, Call: call, Output: output, Return: back}
	}
	for name, c := range map[string]struct {
		history []porcupine.Operation
		want    bool
	}{
		"one of two": {[]porcupine.Operation{op(0, 9, sendBody{1, 1}, "id_conflict"), op(1, 8, sendBody{1, 2}, "accepted"), op(10, 11, readEvent{1}, 2)}, true},
		"two ids":    {[]porcupine.Operation{op(0, 1, sendBody{1, 1}, "accepted"), op(2, 3, sendBody{2, 2}, "accepted")}, true},
		"both":       {[]porcupine.Operation{op(0, 9, sendBody{1, 1}, "accepted"), op(1, 8, sendBody{1, 2}, "accepted")}, false},
		"twice":      {[]porcupine.Operation{op(0, 9, sendBody{1, 1}, "accepted"), op(1, 8, sendBody{1, 1}, "accepted")}, false},
		"neither":    {[]porcupine.Operation{op(0, 9, sendBody{1, 1}, "id_conflict"), op(1, 8, sendBody{1, 2}, "id_conflict")}, false},
		"not the first": {[]porcupine.Operation{
			op(0, 1, sendBody{1, 1}, "accepted"), op(2, 3, sendBody{1, 2}, "id_conflict"), op(4, 5, readEvent{1}, 2),
		}, false},
		"vanished": {[]porcupine.Operation{op(0, 1, sendBody{1, 1}, "accepted"), op(2, 3, readEvent{1}, 1), op(4, 5, readEvent{1}, 0)}, false},
		"not told": {[]porcupine.Operation{op(0, 1, sendBody{1, 1}, "accepted"), op(2, 3, readReceipt{1}, "pending")}, false},
	} {
		if got := porcupine.CheckOperations(register(), c.history); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// history collects operations of several clients.
type history struct {
	*server
	began time.Time
	mu    sync.Mutex // guards ops
	ops   []porcupine.Operation
}

// do runs an operation and notes when it began and ended.
func (h *history) do(client int, input any, run func() any) {
	call := time.Since(h.began).Nanoseconds()
	output := run()
	back := time.Since(h.began).Nanoseconds()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, porcupine.Operation{ClientId: client, Input: input, Call: call, Output: output, Return: back})
}

func eventID(id int) string { return fmt.Sprintf("01980c00-0000-7000-8000-%012d", id) }

func (h *history) send(client int, op sendBody) {
	h.do(client, op, func() any {
		body := fmt.Sprintf(`{"id":%q,"session_id":"s","category":"c","name":"n","data":{"body":%d},"timestamp":"2021-01-01 09:00:00"}`, eventID(op.id), op.body)
		a, err := h.try("POST", "/v1/events?wait=stored", h.write, []byte(body))
		switch {
		case err != nil:
			return err.Error()
		case a.status == http.StatusUnprocessableEntity && strings.Contains(string(a.body), "id_conflict"):
			return "id_conflict"
		case a.status == http.StatusCreated && a.text("accepted") == "1":
			return "accepted"
		case a.status == http.StatusCreated && a.text("duplicates") == "1":
			return "duplicate"
		}
		return string(a.body)
	})
}

func (h *history) readEvent(client, id int) {
	h.do(client, readEvent{id}, func() any {
		a, err := h.try("GET", "/v1/events/"+eventID(id), h.read, nil)
		if err != nil || a.status == http.StatusNotFound {
			return 0
		}
		data, _ := a.json()["data"].(map[string]any)
		body, _ := data["body"].(float64)
		return int(body)
	})
}

func (h *history) readReceipt(client, id int) {
	h.do(client, readReceipt{id}, func() any {
		a, err := h.try("GET", "/v1/receipts/"+eventID(id), h.read, nil)
		if err != nil || a.status == http.StatusNotFound {
			return "none"
		}
		return a.text("status")
	})
}

// Eight senders send each id with two bodies, while others read it. One body is
// stored, and every answer agrees with that in an order that real time allows,
// also while segments are written and merged.
func TestOneOfManyWithTheSameID(t *testing.T) {
	t.Parallel()
	const senders, readers, ids = 8, 4, 30
	s := start(t, "--flush-rows", "25")
	h := &history{server: s, began: time.Now()}
	var newest, done atomic.Int64
	var all sync.WaitGroup
	for client := range senders {
		all.Go(func() {
			defer done.Add(1)
			for id := range ids {
				newest.Store(max(newest.Load(), int64(id)))
				first := 1 + (client+id)%2
				h.send(client, sendBody{id, first})
				h.send(client, sendBody{id, 3 - first})
			}
		})
	}
	for reader := range readers {
		all.Go(func() {
			for i := 0; done.Load() < senders; i++ {
				id := int(newest.Load()) - i%3
				if id < 0 {
					continue
				}
				if reader%2 == 0 {
					h.readEvent(senders+reader, id)
				} else {
					h.readReceipt(senders+reader, id)
				}
			}
		})
	}
	all.Wait()
	for id := range ids {
		h.readEvent(0, id)
		h.readReceipt(1, id)
	}
	result, _ := porcupine.CheckOperationsVerbose(register(), h.ops, time.Minute)
	if result != porcupine.Ok {
		t.Errorf("%s: no order explains the answers: %v", result, outputs(h.ops))
	}
	counts := outputs(h.ops)
	if counts["accepted"] != ids || counts["id_conflict"] != senders*ids || counts["duplicate"] != (senders-1)*ids {
		t.Errorf("answers: %v", counts)
	}
	t.Logf("%d operations: %v", len(h.ops), counts)
	s.balanced(2 * senders * ids)
	if a := s.call("GET", "/v1/count", s.read, ""); a.text("count") != fmt.Sprint(ids) {
		t.Errorf("%s events are stored, want %d", a.text("count"), ids)
	}
}

// outputs counts the answers of a history.
func outputs(ops []porcupine.Operation) map[string]int {
	counts := map[string]int{}
	for _, op := range ops {
		counts[fmt.Sprint(op.Output)]++
	}
	return counts
}
