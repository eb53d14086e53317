package cli

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	theeye "theeye/clients/go"
	"theeye/internal/client"
)

// sender delivers batches, and retries them until they are answered.
type sender struct {
	to       *theeye.Client
	explain  func(*theeye.Error) error // in the words of the command line
	wait     bool                      // until the events are stored
	retryFor time.Duration             // since the first try of a batch
	linger   time.Duration             // how long an element waits for others of its batch; 0 for as long as it takes
	notice   func(text string)
	outage   outage // says why it waits
	reject   func(e element, id string, problems []client.EventProblem)
	place    *sendPlace // where the input is continued after an interruption; nil without --resume

	newID     func(text []byte) (uuid.UUID, error) // for an event that has none
	requestID func(first int, body []byte) string  // for broken lines, which carry no id

	sums client.Totals
	last *element // the last element of the batches that were answered; nil for none
	done int      // elements of the batches that were answered
}

// send delivers one batch. Its elements have ids, so a repeated request stores nothing twice. When
// ctx is done, the request under way is retried at most once.
func (s *sender) send(ctx context.Context, b batch) error {
	contentType, body := b.body()
	s.outage.notice = s.notice
	trying, cancel := context.WithTimeout(ctx, s.retryFor)
	defer cancel()
	answer, err := s.to.Send(trying, theeye.Batch{
		Body: body, ContentType: contentType, ID: s.requestID(b.elements[0].number, body), UntilVisible: s.wait,
		OnRetry: func(err *theeye.Error) { s.outage.failed(s.explain(err)) },
	})
	if refused, ok := errors.AsType[*theeye.Error](err); ok {
		if refused.Code == theeye.CodeTooLarge {
			return s.sendHalves(ctx, b, refused)
		}
		return s.explain(refused)
	}
	s.outage.over(answersAgain)
	s.sums.Add(client.Totals{Received: answer.Received, Accepted: answer.Accepted, Rejected: answer.Rejected, Duplicates: answer.Duplicates})
	for _, e := range answer.Events {
		if e.Status == theeye.StatusRejected && e.Index >= 0 && e.Index < len(b.elements) {
			s.reject(b.elements[e.Index], e.ID, b.elements[e.Index].located(e.Problems, e.Index+1))
		}
	}
	return s.settled(b)
}

// settled remembers that a batch was answered.
func (s *sender) settled(b batch) error {
	s.last = &b.elements[len(b.elements)-1]
	s.done += len(b.elements)
	if s.place == nil {
		return nil
	}
	return s.place.save(s.last)
}

// placeInRequest matches the place at which the server says that a request is not JSON.
var placeInRequest = regexp.MustCompile(`\bat line ([0-9]+), column ([0-9]+)`)

// located replaces places in the request, whose nth line is the element, by places in the element.
func (e *element) located(problems []client.EventProblem, n int) []client.EventProblem {
	if !e.line {
		return problems
	}
	located := slices.Clone(problems)
	for i := range located {
		message := located[i].Message
		at := placeInRequest.FindStringSubmatch(message)
		if at == nil || at[1] != strconv.Itoa(n) {
			continue
		}
		column, err := strconv.Atoi(at[2])
		if err == nil {
			located[i].Message = strings.Replace(message, at[0], fmt.Sprintf("at column %d", column+e.indent), 1)
		}
	}
	return located
}

// sendHalves splits a batch that is too large for the server and sends both halves. If a single
// event is too large, the server has kept it as a rejection.
func (s *sender) sendHalves(ctx context.Context, b batch, why *theeye.Error) error {
	if len(b.elements) == 1 {
		s.sums.Add(client.Totals{Received: 1, Rejected: 1})
		s.reject(b.elements[0], "", []client.EventProblem{{Code: "event_too_large", Message: why.Message}})
		return s.settled(b)
	}
	half := len(b.elements) / 2
	for _, part := range [][]element{b.elements[:half], b.elements[half:]} {
		if err := s.send(ctx, batch{elements: part, bytes: b.bytes}); err != nil {
			return err
		}
	}
	return nil
}
