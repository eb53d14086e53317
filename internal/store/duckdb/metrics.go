package duckdb

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	seconds    *prometheus.HistogramVec
	flushes    prometheus.Histogram
	merges     prometheus.Histogram
	rewrites   prometheus.Counter
	written    prometheus.Counter
	rows       prometheus.Collector
	queries    []prometheus.Collector
	registerer prometheus.Registerer
}

func newMetrics(r prometheus.Registerer, s *Store) metrics {
	m := metrics{
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "eye_store_query_seconds", Help: "Time of a query of the store, by kind.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, 1, 2.5, 10},
		}, []string{"kind"}),
		flushes: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "eye_store_flush_seconds", Help: "Time to write hot tables as a segment.",
			Buckets: []float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}),
		merges: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "eye_store_merge_seconds", Help: "Time to merge segments.",
			Buckets: []float64{.1, .5, 1, 5, 10, 30, 60, 120, 300},
		}),
		rewrites: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "eye_store_retention_rewrites_total", Help: "Segments that were rewritten without expired rows.",
		}),
		written: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "eye_store_written_bytes_total", Help: "Bytes of segments and filters that were written.",
		}),
		rows: &rowCollector{s}, queries: s.readers.Gauges("eye_store_queries", "Queries of the store"), registerer: r,
	}
	if r != nil {
		r.MustRegister(m.all()...)
	}
	return m
}

func (m metrics) unregister() {
	if m.registerer != nil {
		for _, c := range m.all() {
			m.registerer.Unregister(c)
		}
	}
}

func (m metrics) all() []prometheus.Collector {
	return append([]prometheus.Collector{m.seconds, m.flushes, m.merges, m.rewrites, m.written, m.rows}, m.queries...)
}

func (m metrics) flushed(info SegmentInfo, took time.Duration) {
	if m.flushes != nil {
		m.flushes.Observe(took.Seconds())
		m.written.Add(float64(info.Data.Bytes + info.Filter.Bytes))
	}
}

func (m metrics) rewritten() {
	if m.rewrites != nil {
		m.rewrites.Inc()
	}
}

func (m metrics) queried(kind string, took time.Duration) {
	if m.seconds != nil {
		m.seconds.WithLabelValues(kind).Observe(took.Seconds())
	}
}

func (m metrics) merged(made []SegmentInfo, took time.Duration) {
	if m.merges != nil {
		m.merges.Observe(took.Seconds())
		for _, info := range made {
			m.written.Add(float64(info.Data.Bytes + info.Filter.Bytes))
		}
	}
}

// rowCollector counts rows when metrics are collected.
type rowCollector struct{ store *Store }

func (c *rowCollector) descs() [3]*prometheus.Desc {
	return [3]*prometheus.Desc{
		prometheus.NewDesc("eye_store_rows", "Rows in the store.", []string{"table", "place"}, nil),
		prometheus.NewDesc("eye_store_segments", "Segments of the store.", nil, nil),
		prometheus.NewDesc("eye_store_damaged_segments", "Damaged segments, which are not served.", nil, nil),
	}
}

// Describe implements prometheus.Collector.
func (c *rowCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range c.descs() {
		out <- d
	}
}

// Collect implements prometheus.Collector. It omits the rows of memtables if the store does not
// answer within a second.
func (c *rowCollector) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	p := c.store.pin()
	defer p.release()
	descs := c.descs()
	var flushed RowCounts
	for _, seg := range p.tables.segments {
		flushed.Events += seg.info.Rows.Events
		flushed.Rejections += seg.info.Rows.Rejections
		flushed.Traces += seg.info.Rows.Traces
	}
	gauge := func(n int64, table, place string) {
		out <- prometheus.MustNewConstMetric(descs[0], prometheus.GaugeValue, float64(n), table, place)
	}
	gauge(flushed.Events, eventTable, "segments")
	gauge(flushed.Rejections, rejectionTable, "segments")
	gauge(flushed.Traces, residueTable, "segments")
	out <- prometheus.MustNewConstMetric(descs[1], prometheus.GaugeValue, float64(len(p.tables.segments)))
	out <- prometheus.MustNewConstMetric(descs[2], prometheus.GaugeValue, float64(len(p.manifest.Damaged)))
	for _, table := range dataTables() {
		var total int64
		for _, mt := range p.tables.memtables {
			n, err := c.store.queryInt(ctx, statement{kind: "rows", text: "SELECT count(*) FROM " + hotName(table, mt.number)})
			if err != nil {
				return
			}
			total += n
		}
		gauge(total, table, "hot")
	}
}
