package cli

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"theeye/internal/plural"
)

// batch holds the elements of one request.
type batch struct {
	elements []element // all of the same envelope, or all without one
	bytes    int
}

// body returns the batch, which is not empty, as a request body. The elements are not altered.
func (b *batch) body() (contentType string, body []byte) {
	first := b.elements[0]
	var buf bytes.Buffer
	buf.Grow(b.bytes + len(b.elements) + len(first.sentAt) + 32)
	opening, between, closing := "[", ",", "]"
	contentType = "application/json"
	switch {
	case first.line:
		contentType, opening, between, closing = "application/x-ndjson", "", "\n", "\n"
	case first.sentAt != nil:
		opening, closing = `{"sent_at":`+string(first.sentAt)+`,"events":[`, "]}"
	}
	buf.WriteString(opening)
	for i, e := range b.elements {
		if i > 0 {
			buf.WriteString(between)
		}
		buf.Write(e.raw)
	}
	buf.WriteString(closing)
	return contentType, buf.Bytes()
}

// sendOptions says how an input is split into batches.
type sendOptions struct {
	name    string // of the input
	asLines bool   // the input is NDJSON whatever it looks like
	limit   int    // elements of a batch
}

// found is an element of the input, or why there are no more.
type found struct {
	element
	err error
}

// sendAll sends an input batch by batch and holds one batch at a time. When ctx is done, or the
// input has a fault, it sends what was read and returns an error that says how far that was.
func (s *sender) sendAll(ctx context.Context, in io.Reader, o sendOptions) error {
	reader := newInterruptibleReader(ctx, in)
	elements, stop, stopped := make(chan found), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		s.read(reader, o.asLines, func(e found) bool {
			select {
			case elements <- e:
				return true
			case <-stop:
				return false
			}
		})
	}()
	err := s.sendBatches(ctx, elements, o.limit)
	close(stop)
	reader.Close()
	<-stopped
	if fault, ok := errors.AsType[*inputError](err); ok {
		return fmt.Errorf("%s%s; %s", o.name, fault.fault, s.unsent())
	}
	if err == nil || ctx.Err() == nil {
		return err
	}
	text := "interrupted: " + s.unsent()
	if s.place != nil && s.place.sent.Events > 0 {
		text += "; the same command continues after " + s.place.sent.Place
	}
	if errors.Is(err, errInterrupted) {
		return errors.New(text)
	}
	return fmt.Errorf("%s: %w", text, err)
}

// unsent says which part of the input was not sent.
func (s *sender) unsent() string {
	if s.last == nil {
		return "nothing was sent"
	}
	return fmt.Sprintf("events after %s were not sent", s.last.place())
}

// read passes the elements of an input, with ids, to hand, and finally the error that ends the
// input. It stops when hand returns false.
func (s *sender) read(in io.Reader, asLines bool, hand func(found) bool) {
	input, err := newEventReader(in, asLines)
	var skip *skipper
	if s.place != nil {
		skip = newSkipper(s.place)
	}
	for err == nil {
		e, sent, fault := s.next(input, skip)
		if err = fault; err == nil && !sent && !hand(found{element: e}) {
			return
		}
	}
	hand(found{err: err})
}

// next returns the next element of the input, with an id, and whether it was sent before. With
// --resume, a last line that is not complete is left for the next time: it may still be written.
func (s *sender) next(input *eventReader, skip *skipper) (e element, sent bool, err error) {
	e, err = input.next()
	if skip != nil {
		if err == nil && e.broken && e.open {
			s.notice(e.place() + " is not complete yet; it is left for the next time")
			err = io.EOF
		}
		switch {
		case errors.Is(err, io.EOF):
			err = cmp.Or(skip.end(), err)
		case err == nil:
			if sent, err = skip.sent(&e); sent && skip.count == skip.skip {
				s.notice("already sent: " + plural.Count(skip.count, "event") + ", up to " + e.place())
			}
		}
	}
	if err == nil && !e.broken {
		e.raw, err = ensureID(e.raw, s.newID) // of events that were sent, too: ids depend on those before
	}
	return e, sent, err
}

// sendBatches sends elements until it receives an error, which it returns unless it is io.EOF.
func (s *sender) sendBatches(ctx context.Context, elements <-chan found, limit int) error {
	var (
		b    batch
		late <-chan time.Time // fires when the batch has waited long enough
	)
	flush := func() error {
		full := b
		b, late = batch{}, nil
		if len(full.elements) == 0 {
			return nil
		}
		return s.send(ctx, full)
	}
	for {
		select {
		case <-late:
			if err := flush(); err != nil {
				return err
			}
		case e := <-elements:
			tooMuch := b.bytes+len(e.raw) > maxBatchBytes
			otherEnvelope := len(b.elements) > 0 && string(b.elements[0].sentAt) != string(e.sentAt)
			if e.err != nil || tooMuch || otherEnvelope {
				if err := flush(); err != nil {
					return err
				}
			}
			if errors.Is(e.err, io.EOF) {
				return nil
			}
			if e.err != nil {
				return e.err
			}
			b.elements = append(b.elements, e.element)
			b.bytes += len(e.raw)
			if len(b.elements) == 1 && s.linger > 0 {
				late = time.After(s.linger)
			}
			if len(b.elements) == limit {
				if err := flush(); err != nil {
					return err
				}
			}
		}
	}
}
