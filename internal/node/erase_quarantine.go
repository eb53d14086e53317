package node

import (
	"context"
	"errors"
	"os"

	"github.com/prometheus/client_golang/prometheus"

	"theeye/internal/durable"
	"theeye/internal/httpapi/admin"
)

// unsearched lists the files that erasures do not search.
func (e *eraser) unsearched() ([]admin.PutAside, error) {
	if err := e.store.QuarantineStrays(); err != nil { // erasures do not search them in the store's folder either
		return nil, err
	}
	var list []admin.PutAside
	for _, q := range e.quarantines() {
		usage, err := durable.UsageOf(q.dir)
		if err != nil {
			return nil, err
		}
		if usage.Files > 0 {
			list = append(list, admin.PutAside{Where: q.where, Files: usage.Files, Bytes: usage.Bytes})
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

// quarantine is a folder of quarantined files.
type quarantine struct{ where, dir string }

func (e *eraser) quarantines() []quarantine {
	return []quarantine{
		{"store/quarantine", e.store.QuarantineDir()},
		{"queue/quarantine", e.queue.QuarantineDir()},
	}
}

// Describe implements prometheus.Collector: an eraser reports what is in quarantine.
func (e *eraser) Describe(to chan<- *prometheus.Desc) { prometheus.DescribeByCollect(e, to) }

// Collect implements prometheus.Collector.
func (e *eraser) Collect(to chan<- prometheus.Metric) {
	filesDesc := prometheus.NewDesc("eye_quarantine_files", "Files in quarantine, by folder.", []string{"folder"}, nil)
	bytesDesc := prometheus.NewDesc("eye_quarantine_bytes", "Bytes of the files in quarantine, by folder.", []string{"folder"}, nil)
	for _, q := range e.quarantines() {
		usage, err := durable.UsageOf(q.dir)
		if err != nil {
			e.log.Warn("a quarantine cannot be read", "folder", q.dir, "error", err)
			continue
		}
		to <- prometheus.MustNewConstMetric(filesDesc, prometheus.GaugeValue, float64(usage.Files), q.where)
		to <- prometheus.MustNewConstMetric(bytesDesc, prometheus.GaugeValue, float64(usage.Bytes), q.where)
	}
}

// EmptyQuarantine deletes the quarantined files of the store and the queue, segment files that no
// manifest names, and replay files that cannot be used. It returns what it found.
func (e *eraser) EmptyQuarantine(context.Context) ([]admin.PutAside, error) {
	found, err := e.unsearched()
	if err != nil {
		return nil, err
	}
	err = e.replays.RemoveUnusable()
	for _, q := range e.quarantines() {
		err = errors.Join(err, durable.Empty(q.dir))
	}
	return found, err
}
