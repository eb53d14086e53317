package queue

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics of a queue. They also work without a registerer.
type metrics struct {
	size     prometheus.Histogram
	publish  prometheus.Histogram
	failed   prometheus.Counter
	damaged  prometheus.Counter
	reopened prometheus.Counter
	all      []prometheus.Collector
}

func newMetrics(r prometheus.Registerer, q *Queue) metrics {
	m := metrics{
		size: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "eye_queue_frame_bytes", Help: "Size of published frames, compressed.",
			Buckets: prometheus.ExponentialBuckets(256, 4, 9),
		}),
		publish: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "eye_queue_publish_seconds", Help: "Time from publishing a frame until it is fsynced.",
			Buckets: []float64{.0005, .001, .002, .005, .01, .025, .05, .1, .25, 1, 5},
		}),
		failed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "eye_queue_publish_failures_total", Help: "Frames that were refused or not acknowledged.",
		}),
		damaged: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "eye_queue_damaged_frames_total", Help: "Frames that could not be read and were quarantined.",
		}),
		reopened: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "eye_queue_reopened_total", Help: "How often the queue was reopened after the disk was full.",
		}),
	}
	m.all = []prometheus.Collector{m.size, m.publish, m.failed, m.damaged, m.reopened, &stateCollector{q}}
	if r != nil {
		r.MustRegister(m.all...)
	}
	return m
}

func (m metrics) unregister(r prometheus.Registerer) {
	if r == nil {
		return
	}
	for _, c := range m.all {
		r.Unregister(c)
	}
}

// stateCollector reads the state of the queue when metrics are collected.
type stateCollector struct{ queue *Queue }

func (c *stateCollector) descs() [4]*prometheus.Desc {
	return [4]*prometheus.Desc{
		prometheus.NewDesc("eye_queue_frames", "Frames in the queue.", nil, nil),
		prometheus.NewDesc("eye_queue_bytes", "Bytes in the queue.", nil, nil),
		prometheus.NewDesc("eye_queue_quota_bytes", "Bytes that the queue may hold.", nil, nil),
		prometheus.NewDesc("eye_queue_age_seconds", "Age of the oldest frame in the queue.", nil, nil),
	}
}

// Describe implements prometheus.Collector.
func (c *stateCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range c.descs() {
		out <- d
	}
}

// Collect implements prometheus.Collector. It returns no values if the queue does not answer within
// a second.
func (c *stateCollector) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	s, err := c.queue.State(ctx)
	if err != nil {
		return
	}
	age := 0.0
	if !s.Oldest.IsZero() {
		age = time.Since(s.Oldest).Seconds()
	}
	d := c.descs()
	for i, v := range []float64{float64(s.Frames), float64(s.Bytes), float64(s.Quota), age} {
		out <- prometheus.MustNewConstMetric(d[i], prometheus.GaugeValue, v)
	}
}
