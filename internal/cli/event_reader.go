package cli

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"theeye/internal/jsonx"
)

// maxElement bounds one event, one line and one envelope, in bytes, and with it
// the memory that reading takes. A server accepts far less in one request.
const maxElement = 64 << 20

const byteOrderMark = "\xef\xbb\xbf" // which a file in UTF-8 may begin with

// element is one event as it stands in the input.
type element struct {
	raw    []byte // owned by the receiver
	number int    // of the line, from 1; of the event, from 0, when there are no lines
	line   bool   // of NDJSON
	indent int    // bytes of the line before raw
	broken bool   // not one JSON value; only lines may be that
	open   bool   // the last line of the input, without its end
	sentAt []byte // of the envelope that it came in; nil for none

	// With --resume:
	count  int    // elements of the input up to this one
	digest string // of them
}

// place says where the element stands in the input.
func (e *element) place() string {
	if e.line {
		return fmt.Sprintf("line %d", e.number)
	}
	return fmt.Sprintf("event %d", e.number)
}

// eventReader reads events one by one from NDJSON, from an array, from objects, or
// from envelopes {"events":[…],"sent_at":…}. Which of them it is, is found out
// by the content.
type eventReader struct {
	in     *budgetReader
	lines  *bufio.Reader     // of NDJSON; else nil
	values *jsontext.Decoder // of anything else; else nil
	traced *tracedReader     // what values reads
	array  bool              // inside of the only array

	number int
	queued []element // of an envelope
}

// newEventReader looks at the beginning of the input and reads no further than the end of its first
// line. asLines says that the input is NDJSON whatever it looks like. What is packed with gzip is
// unpacked. Faults of the input are *inputError.
func newEventReader(in io.Reader, asLines bool) (*eventReader, error) {
	in, err := unpacked(in)
	if err != nil {
		return nil, err
	}
	e := &eventReader{in: &budgetReader{r: in, left: maxElement}}
	buffered := bufio.NewReaderSize(e.in, 256<<10)
	if beginsWith(buffered, byteOrderMark) {
		_, _ = buffered.Discard(len(byteOrderMark))
	}
	if !asLines {
		head, err := peekLine(buffered)
		if err != nil {
			return nil, err
		}
		asLines = looksLikeLines(head)
	}
	if asLines {
		e.lines = buffered
		return e, nil
	}
	e.traced = newTracedReader(buffered)
	e.values = jsontext.NewDecoder(e.traced, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if e.values.PeekKind() == '[' {
		e.array = true
		if _, err := e.values.ReadToken(); err != nil {
			return nil, e.traced.fault(err)
		}
	}
	return e, nil
}

// peekLine returns the first line that is not empty, without reading it; only its
// beginning when it is longer than the buffer. It waits for no more than that line.
func peekLine(r *bufio.Reader) ([]byte, error) {
	begin, looked := 0, 0 // of the line; how much was looked at
	for {
		_, err := r.Peek(looked + 1)
		head, _ := r.Peek(r.Buffered())
		for begin < len(head) && strings.IndexByte(" \t\r\n", head[begin]) >= 0 {
			begin++
		}
		if begin < len(head) && head[begin] == '[' { // that is enough to know, and may be all for now
			return head[begin:], nil
		}
		looked = max(looked, begin)
		if end := bytes.IndexByte(head[looked:], '\n'); end >= 0 {
			return head[begin : looked+end], nil
		}
		looked = len(head)
		switch {
		case errors.Is(err, io.EOF), looked == r.Size():
			return head[begin:], nil
		case err != nil:
			return nil, fmt.Errorf("read input: %w", err)
		}
	}
}

// looksLikeLines reports whether a first line is that of NDJSON: a whole object
// that is no envelope, or something that cannot begin a JSON document.
func looksLikeLines(line []byte) bool {
	line = bytes.TrimSpace(line)
	if len(line) == 0 || line[0] == '[' {
		return false
	}
	d := jsonx.Lenient(line)
	value, err := d.ReadValue()
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return false // goes on in the next line
	case err != nil:
		return true
	}
	return !jsonx.HasMember(value, "events")
}

// next returns the next event, or io.EOF.
func (e *eventReader) next() (element, error) {
	e.in.left = maxElement
	if e.lines != nil {
		return e.nextLine()
	}
	if len(e.queued) == 0 {
		if err := e.nextValue(); err != nil {
			return element{}, err
		}
	}
	first := e.queued[0]
	e.queued = e.queued[1:]
	return first, nil
}

func (e *eventReader) nextLine() (element, error) {
	for {
		var line []byte
		var open bool
		for {
			part, err := e.lines.ReadSlice('\n')
			line = append(line, part...)
			if open = errors.Is(err, io.EOF); err == nil || open && len(line) > 0 {
				break
			}
			if errors.Is(err, bufio.ErrBufferFull) {
				continue
			}
			if errors.Is(err, io.EOF) {
				return element{}, io.EOF
			}
			return element{}, fmt.Errorf("read line %d: %w", e.number+1, err)
		}
		e.number++
		line = bytes.TrimRight(line, " \t\r\n")
		if raw := bytes.TrimLeft(line, " \t\r"); len(raw) > 0 {
			return element{raw: raw, number: e.number, line: true, indent: len(line) - len(raw), broken: !oneValue(raw), open: open}, nil
		}
	}
}

func oneValue(line []byte) bool {
	d := jsonx.Lenient(line)
	if d.SkipValue() != nil {
		return false
	}
	_, err := d.ReadToken()
	return errors.Is(err, io.EOF)
}

// nextValue queues the events of the next JSON value.
func (e *eventReader) nextValue() error {
	for len(e.queued) == 0 {
		e.traced.forget(int(e.values.InputOffset()))
		if e.array && e.values.PeekKind() == ']' {
			if _, err := e.values.ReadToken(); err != nil {
				return e.traced.fault(err)
			}
			e.array = false
		}
		value, err := e.values.ReadValue()
		if errors.Is(err, io.EOF) && !e.array {
			return io.EOF
		}
		if err != nil {
			return e.traced.fault(err)
		}
		if e.array || value.Kind() != '{' || !jsonx.HasMember(value, "events") {
			e.queue(value)
			continue
		}
		if err := e.openEnvelope(value); err != nil {
			return err
		}
	}
	return nil
}

func (e *eventReader) queue(raw []byte) {
	e.queued = append(e.queued, element{raw: bytes.Clone(raw), number: e.number})
	e.number++
}

// openEnvelope queues the events of an envelope.
func (e *eventReader) openEnvelope(value []byte) error {
	var sentAt []byte
	from := len(e.queued)
	d := jsonx.Lenient(value)
	if _, err := d.ReadToken(); err != nil {
		return fmt.Errorf("read envelope: %w", err)
	}
	for d.PeekKind() == '"' {
		token, err := d.ReadToken()
		if err != nil {
			return fmt.Errorf("read envelope: %w", err)
		}
		name := token.String()
		member, err := d.ReadValue()
		if err != nil {
			return fmt.Errorf("read envelope: %w", err)
		}
		switch name {
		case "events":
			list := jsonx.Lenient(member)
			if list.PeekKind() != '[' {
				return &inputError{`: "events" must be an array`}
			}
			_, _ = list.ReadToken()
			for list.PeekKind() != ']' {
				raw, err := list.ReadValue()
				if err != nil {
					return fmt.Errorf("read envelope: %w", err)
				}
				e.queue(raw)
			}
		case "sent_at":
			sentAt = bytes.Clone(member)
		default:
			return &inputError{fmt.Sprintf(`: unknown member %q; a batch has "events" and "sent_at"`, name)}
		}
	}
	for i := range e.queued[from:] {
		e.queued[from+i].sentAt = sentAt
	}
	return nil
}

// budgetReader fails when more than left bytes are read before left is set anew.
type budgetReader struct {
	r    io.Reader
	left int
}

// Read implements io.Reader.
func (b *budgetReader) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, &inputError{fmt.Sprintf(": an event or envelope is larger than %d MiB; send events as NDJSON, one per line", maxElement>>20)}
	}
	n, err := b.r.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}
