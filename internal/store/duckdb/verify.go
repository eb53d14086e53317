package duckdb

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"theeye/internal/erasure"
	"theeye/internal/store/duckdb/filter"
)

// VerifyOptions are the options of Verify.
type VerifyOptions struct {
	Dir         string          // of the store
	Tombstones  string          // the file of tombstones; empty to skip it
	MemoryLimit int64           // bytes that DuckDB may use; 0 for half of the machine's memory, at most 8 GiB
	Progress    func(bytes int) // called with the size of each file that was read; may be nil
}

// Fault is a difference between the files and the manifest.
type Fault struct {
	File string `json:"file"`
	Text string `json:"text"`
}

// Verify reads everything that a store's manifest names and compares it with the manifest:
// checksums, the order of each table, numbers of rows, bounds, and accounts. It changes nothing,
// and may run while a server uses the store: a segment that is merged meanwhile is skipped. The
// error is a *MissingManifestError if there is no manifest.
func Verify(ctx context.Context, opts VerifyOptions) ([]Fault, error) {
	m, err := PresentManifest(opts.Dir)
	if err != nil {
		return nil, err
	}
	if opts.MemoryLimit == 0 {
		opts.MemoryLimit = defaultMemory()
	}
	if opts.Progress == nil {
		opts.Progress = func(int) {}
	}
	faults := accountFaults(m)
	if opts.Tombstones != "" {
		if _, err := erasure.Read(opts.Tombstones, m.Tombstones); err != nil {
			faults = append(faults, Fault{filepath.Base(opts.Tombstones), tombstonesFault(err)})
		}
	}
	for _, d := range m.Damaged {
		text := strings.TrimPrefix(d.String(), "segment "+d.Segment.Data.Name+" ")
		if d.Acknowledged {
			text += "; its loss was acknowledged"
		}
		text += "; an intact copy of the file in store/quarantine and `eye store readmit` bring it back"
		faults = append(faults, Fault{d.Segment.Data.Name, text})
	}
	for _, info := range m.Segments {
		wrong, err := verifySegment(ctx, opts, info)
		if err != nil {
			return faults, err
		}
		if len(wrong) > 0 {
			now, err := ReadManifest(opts.Dir)
			if err != nil {
				return faults, err
			}
			if !slices.ContainsFunc(now.Segments, func(x SegmentInfo) bool { return x.ID == info.ID }) {
				continue
			}
		}
		faults = append(faults, wrong...)
	}
	return faults, nil
}

// tombstonesFault says what is wrong with the file of tombstones, and what to do.
func tombstonesFault(err error) string {
	reason := err
	if e, ok := errors.AsType[*erasure.Error](err); ok {
		reason = e.Err
	}
	text := fmt.Sprintf("cannot be used: %v", reason)
	if _, ok := errors.AsType[*TombstonesError](tombstonesError(err)); ok {
		text += "; put the file back, or a copy that was made after the last erasure, or see with `eye store recover --keep-tombstones` which lines are intact"
	}
	return text
}

// accountFaults compares what was received with the fates in the accounts.
func accountFaults(m Manifest) (faults []Fault) {
	sums := maps.Clone(m.Removed)
	if sums == nil {
		sums = map[string]Counts{}
	}
	for _, info := range m.Segments {
		for app, n := range info.Apps {
			c := sums[app]
			c.addAll(n)
			sums[app] = c
		}
	}
	lost := m.lost()
	for _, app := range slices.Sorted(maps.Keys(m.Arrivals)) {
		a, c := m.Arrivals[app], sums[app]
		if fates := c.total() + a.Lost + lost[app]; fates != a.Received {
			faults = append(faults, Fault{manifestName, fmt.Sprintf("does not balance: application %s: %d received, but %d are accounted for", app, a.Received, fates)})
		}
	}
	return faults
}

func verifySegment(ctx context.Context, opts VerifyOptions, info SegmentInfo) ([]Fault, error) {
	dir := filepath.Join(opts.Dir, "segments")
	data, err := verifyFile(dir, info.Data, opts.Progress)
	if err != nil {
		return nil, err
	}
	filter, err := verifyFile(dir, info.Filter, opts.Progress)
	if err != nil {
		return nil, err
	}
	if len(filter) == 0 {
		if err := verifyFilter(filepath.Join(dir, info.Filter.Name), info); err != nil {
			filter = append(filter, Fault{info.Filter.Name, err.Error()})
		}
	}
	for i := range filter {
		filter[i].Text += "; the server rebuilds it soon after its next start"
	}
	if len(data) > 0 { // DuckDB must not open damaged files
		for i := range data {
			data[i].Text += "; `eye store readmit` quarantines the segment, and takes it back from the queue or from an intact copy in store/quarantine"
		}
		return slices.Concat(data, filter), nil
	}
	found, err := verifyTables(ctx, opts, info)
	return slices.Concat(filter, found), err
}

// verifyFile compares the size and the checksum of a file.
func verifyFile(dir string, want FileInfo, progress func(int)) ([]Fault, error) {
	got := FileInfo{Name: want.Name}
	err := describe(filepath.Join(dir, want.Name), &got)
	progress(int(want.Bytes))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return []Fault{{want.Name, "is missing"}}, nil
	case errors.Is(err, os.ErrPermission):
		return nil, err
	case err != nil:
		return []Fault{{want.Name, "cannot be read: " + err.Error()}}, nil //nolint:nilerr // it is reported as a fault
	case got.Bytes != want.Bytes:
		return []Fault{{want.Name, fmt.Sprintf("has %d bytes, the manifest says %d", got.Bytes, want.Bytes)}}, nil
	case got.SHA256 != want.SHA256:
		return []Fault{{want.Name, "does not have the checksum that the manifest says"}}, nil
	}
	return nil, nil
}

func verifyFilter(path string, info SegmentInfo) error {
	x, err := filter.Open(path, info.Slices)
	if err != nil {
		return err
	}
	return errors.Join(x.Verify(), x.Close())
}

// verifyTables checks the tables of a segment in an instance of its own.
func verifyTables(ctx context.Context, opts VerifyOptions, info SegmentInfo) (faults []Fault, err error) {
	dir := filepath.Join(opts.Dir, "segments")
	// With one thread, rows are read in the order of the file.
	in, err := openInstance(ctx, limits{memory: opts.MemoryLimit, threads: 1, dirs: []string{dir}, conns: 2})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, in.close()) }()
	fault := func(format string, values ...any) {
		faults = append(faults, Fault{info.Data.Name, fmt.Sprintf(format, values...)})
	}
	if err := in.exec(ctx, "ATTACH "+quoted(filepath.Join(dir, info.Data.Name))+" AS v (READ_ONLY)"); err != nil {
		fault("cannot be opened: %v", err)
		return faults, ctx.Err()
	}
	for _, table := range append(dataTables(), sessionTable) {
		n, err := countUnsorted(ctx, in, "v."+table, orderOf(table))
		switch {
		case err != nil:
			fault("table %s cannot be read: %v", table, err)
		case n > 0:
			fault("table %s is not sorted: %d rows come before a row that should precede them", table, n)
		}
	}
	var got SegmentInfo
	if err := readStats(ctx, in, "v", &got); err != nil {
		fault("cannot be counted: %v", err)
		return faults, ctx.Err()
	}
	for _, c := range []struct {
		what      string
		got, want any
	}{
		{"rows", got.Rows, info.Rows},
		{"frames", got.Carried, info.Carried},
		{"times of events", got.Occurred, info.Occurred},
		{"times of receipt", got.Received, info.Received},
		{"times of sending", got.Sent, info.Sent},
		{"accounts", got.Apps, info.Apps},
		{"replays", got.Replays, info.Replays},
	} {
		if !reflect.DeepEqual(c.got, c.want) {
			fault("%s are %s, the manifest says %s", c.what, formatValue(c.got), formatValue(c.want))
		}
	}
	return faults, ctx.Err()
}

// countUnsorted counts the rows of a table that belong before their predecessor.
func countUnsorted(ctx context.Context, in *instance, table, order string) (n int64, err error) {
	key := "row(" + order + ")"
	// A window without ORDER BY uses the order in which rows are read.
	text := "SELECT count(*) FROM (SELECT " + key + " AS this, lag(" + key + ") OVER () AS before FROM " + table + ") WHERE this < before"
	return n, in.db.QueryRowContext(ctx, text).Scan(&n)
}

// formatValue formats a value of the manifest.
func formatValue(v any) string {
	b, ok := v.(Bounds)
	switch {
	case !ok:
		return strings.TrimPrefix(fmt.Sprintf("%+v", v), "map")
	case b.empty():
		return "none"
	}
	return fmt.Sprintf("%d to %d", *b.Min, *b.Max)
}
