package httpapi

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	seconds   *prometheus.HistogramVec
	answers   *prometheus.CounterVec
	noMemory  prometheus.Counter
	malformed prometheus.Counter

	refusedKeys *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer, reads *Budget) metrics {
	m := metrics{
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "eye_http_seconds", Help: "Time to answer a request, in seconds, by route.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, 1, 2.5, 10},
		}, []string{"route"}),
		answers: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "eye_http_answers_total", Help: "Answers, by route and status.",
		}, []string{"route", "status"}),
		noMemory: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "eye_http_read_memory_refused_total", Help: "Reads answered 503 because the memory for answers was exhausted.",
		}),
	}
	m.malformed = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "eye_http_malformed_total", Help: "Requests answered 400 because their path or query is malformed.",
	})
	m.refusedKeys = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "eye_http_keys_refused_total", Help: "Requests answered 401 or 403, except those to the intake, by reason.",
	}, []string{"reason"})
	if r != nil {
		r.MustRegister(m.refusedKeys, m.seconds, m.answers, m.noMemory, m.malformed, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "eye_http_read_memory_bytes", Help: "Bytes of the answer budget in use by answers being read or sent.",
		}, func() float64 { return float64(reads.Used()) }))
	}
	return m
}

func (m metrics) answered(route string, status int, took time.Duration) {
	m.seconds.WithLabelValues(route).Observe(took.Seconds())
	m.answers.WithLabelValues(route, strconv.Itoa(status)).Inc()
}
