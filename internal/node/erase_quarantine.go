package node

import (
	"context"
	"errors"
	"os"

	"github.com/prometheus/client_golang/prometheus"

	"theeye/internal/durable"
	"theeye/internal/httpapi/admin"
)

// unsearched lists what erasures do not search.
func (e *eraser) unsearched() ([]admin.PutAside, error) {
	if err := e.store.QuarantineStrays(); err != nil { // nothing searches them where they are
		return nil, err
	}
	var list []admin.PutAside
	for _, q := range e.quarantines() {
		u, err := durable.UsageOf(q.dir)
		if err != nil {
			return nil, err
		}
		if u.Files > 0 {
			list = append(list, admin.PutAside{Where: q.where, Files: u.Files, Bytes: u.Bytes})
		}
	}
	unusable := admin.PutAside{Where: "replays"}
	for _, file := range e.replays.Unusable() {
		if info, err := os.Stat(file); err == nil {
			unusable.Files++
			unusable.Bytes += info.Size()
		}
	}
	if unusable.Files > 0 {
		list = append(list, unusable)
	}
	return list, nil
}

// quarantine is a folder of what was put aside.
type quarantine struct{ where, dir string }

func (e *eraser) quarantines() []quarantine {
	return []quarantine{{"store/quarantine", e.store.QuarantineDir()}, {"queue/quarantine", e.queue.QuarantineDir()}}
}

// Describe implements prometheus.Collector: an eraser reports what is in quarantine.
func (e *eraser) Describe(to chan<- *prometheus.Desc) { prometheus.DescribeByCollect(e, to) }

// Collect implements prometheus.Collector.
func (e *eraser) Collect(to chan<- prometheus.Metric) {
	files := prometheus.NewDesc("eye_quarantine_files", "Files that were put aside as damaged, by folder.", []string{"folder"}, nil)
	bytes := prometheus.NewDesc("eye_quarantine_bytes", "Bytes of files that were put aside as damaged, by folder.", []string{"folder"}, nil)
	for _, q := range e.quarantines() {
		u, err := durable.UsageOf(q.dir)
		if err != nil {
			e.log.Warn("a quarantine cannot be read", "folder", q.dir, "error", err)
			continue
		}
		to <- prometheus.MustNewConstMetric(files, prometheus.GaugeValue, float64(u.Files), q.where)
		to <- prometheus.MustNewConstMetric(bytes, prometheus.GaugeValue, float64(u.Bytes), q.where)
	}
}

// EmptyQuarantine deletes what is in quarantine in the store and the queue, segment files that
// nothing names, and replay files that cannot be used. It returns what it found.
func (e *eraser) EmptyQuarantine(context.Context) ([]admin.PutAside, error) {
	there, err := e.unsearched()
	if err != nil {
		return nil, err
	}
	err = e.replays.RemoveUnusable()
	for _, q := range e.quarantines() {
		err = errors.Join(err, durable.Empty(q.dir))
	}
	return there, err
}
