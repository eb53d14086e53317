package ingest

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"theeye/internal/queue"
)

type metrics struct {
	events   *prometheus.CounterVec
	problems *prometheus.CounterVec
	requests *prometheus.CounterVec
	bytes    prometheus.Counter

	truncated prometheus.Counter
}

func newMetrics(r prometheus.Registerer) metrics {
	m := metrics{
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "eye_intake_events_total", Help: "Acknowledged events, by the status in the answer.",
		}, []string{"status"}),
		problems: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "eye_intake_problems_total", Help: "Problems of rejected events, by code.",
		}, []string{"code"}),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "eye_intake_requests_total", Help: "Intake requests, by result.",
		}, []string{"result"}),
		bytes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "eye_intake_bytes_total", Help: "Bytes of acknowledged request bodies, after decompression.",
		}),
		truncated: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "eye_intake_truncated_total", Help: "Rejected events that were too large and of which only the beginning is kept.",
		}),
	}
	if r != nil {
		r.MustRegister(m.events, m.problems, m.requests, m.bytes, m.truncated)
	}
	return m
}

func (m metrics) recordAccepted(items []Item, size int) {
	counts := map[Status]int{}
	for _, item := range items {
		counts[item.Status]++
		for _, p := range item.Problems {
			m.problems.WithLabelValues(p.Code).Inc()
		}
	}
	for status, n := range counts {
		m.events.WithLabelValues(string(status)).Add(float64(n))
	}
	m.requests.WithLabelValues("acknowledged").Inc()
	m.bytes.Add(float64(size))
}

func (m metrics) recordUnparsed(code string) {
	m.requests.WithLabelValues("unreadable").Inc()
	m.problems.WithLabelValues(code).Inc()
}

func (m metrics) recordFailure(err error) {
	result := "failed"
	switch {
	case errors.Is(err, queue.ErrFull):
		result = "full"
	case errors.Is(err, queue.ErrUnknown):
		result = "unconfirmed"
	}
	m.requests.WithLabelValues(result).Inc()
}
