package duckdb

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"theeye/internal/durable"
	"theeye/internal/nofile"
	"theeye/internal/store/duckdb/filter"
)

// segment is an immutable file of records, attached to an instance, with its filters.
type segment struct {
	info    SegmentInfo
	in      *instance                  // that it is attached to
	filters atomic.Pointer[filter.Set] // nil while they cannot be read; then the whole segment is searched
	refs    int                        // number of table sets that contain it; guarded by Store.mu
	oldest  oldestRows                 // nil until it is first needed; guarded by Store.merging
	// The sizes of its largest payloads, in bytes; 0 until they are first needed.
	largestEvent, largestRejection atomic.Int64
	// deleteOnRelease: its files are deleted when the last reference is gone. Guarded by Store.mu.
	deleteOnRelease bool
}

// largest returns the size of the largest payload of a table, 0 while it is not known.
func (seg *segment) largest(table string) *atomic.Int64 {
	if table == rejectionTable {
		return &seg.largestRejection
	}
	return &seg.largestEvent
}

// attachedName returns the name under which a segment is attached.
func attachedName(id uint64) string { return "s" + strconv.FormatUint(id, 10) }

func (seg *segment) table(name string) string { return attachedName(seg.info.ID) + "." + name }

func dataName(id uint64) string   { return fmt.Sprintf("seg-%08d.duckdb", id) }
func filterName(id uint64) string { return fmt.Sprintf("seg-%08d.filter", id) }

// openSegment attaches a segment to the reading instance.
func (s *Store) openSegment(ctx context.Context, info SegmentInfo) (*segment, error) {
	return s.attach(ctx, s.reading, info)
}

// attach attaches a segment to an instance. The error is a *damageError if its file differs from
// what the manifest says.
func (s *Store) attach(ctx context.Context, in *instance, info SegmentInfo) (*segment, error) {
	path := s.segmentPath(info.Data.Name)
	if err := checkSize(path, info.Data); err != nil {
		return nil, fmt.Errorf("open segment: %w", err)
	}
	keepPrivate(path)
	if err := in.attach(ctx, path, attachedName(info.ID)); err != nil {
		if errors.Is(err, nofile.ErrShort) {
			return nil, fmt.Errorf("open segment %s: %w", info.Data.Name, err)
		}
		if found := checkFile(path, info.Data); found != nil {
			err = found
		}
		return nil, fmt.Errorf("open segment %s: %w", info.Data.Name, err)
	}
	seg := &segment{info: info, in: in}
	f, err := filter.Open(s.segmentPath(info.Filter.Name), info.Slices)
	if err == nil {
		err = f.Verify()
	}
	if err != nil {
		err = errors.Join(err, f.Close())
		s.log.Error("a segment's filter cannot be read; the segment is searched without it until it is rebuilt",
			"segment", info.Data.Name, "error", err)
		return seg, nil
	}
	seg.filters.Store(f)
	return seg, nil
}

// keepPrivate makes a file accessible to its owner only: DuckDB creates files that everyone may
// read. It does not change a file of another owner.
func keepPrivate(path string) {
	if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o077 != 0 {
		_ = os.Chmod(path, 0o600)
	}
}

// closeSegment detaches a segment that is no longer read, and deletes its files if they are
// obsolete.
func (s *Store) closeSegment(seg *segment) {
	var err error
	if !seg.in.closed.Load() {
		err = seg.in.exec(context.Background(), "DETACH "+attachedName(seg.info.ID))
	}
	if err = errors.Join(err, seg.filters.Load().Close()); err != nil {
		s.log.Error("a segment could not be closed", "segment", seg.info.Data.Name, "error", err)
	}
	if seg.deleteOnRelease {
		s.unlink(seg.info)
	}
}

// unlink deletes the files of a segment, now or when the last lease that names it has ended.
func (s *Store) unlink(info SegmentInfo) {
	if s.leases.deferUnlink(info) {
		return
	}
	for _, name := range []string{info.Data.Name, info.Filter.Name} {
		if err := os.Remove(s.segmentPath(name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			s.log.Error("a file of the store could not be removed", "file", name, "error", err)
		}
	}
	if err := s.intents.end(info.Data.Name, info.Filter.Name); err != nil {
		s.log.Warn("the file INTENT could not be updated; it will be with the next segment", "error", err)
	}
}

// segmentSpec specifies a segment to be written.
type segmentSpec struct {
	id    uint64
	level int
	// rows renders what is put into a table: a SELECT of its columns.
	rows func(table string) string
	// bounds are the least occurred_at of each slice but the first, ascending.
	bounds []int64
	block  int // bytes of a block of the file
}

// smallBlock keeps small segments small, in bytes; largeBlock is DuckDB's default.
const smallBlock, largeBlock = 16384, 262144

// blockSize returns the block size for a segment of about so many rows, in bytes. It differs from
// those of the files that the rows come from: when memory is short, DuckDB reuses the buffer of a
// block of the same size without clearing it, and the unused part of the new block would keep what
// the input had there. Inputs have at most mergeFan sizes, and there is one more to choose from.
func blockSize(rows int64, inputs []int) int {
	sizes := []int{smallBlock, 2 * smallBlock, 4 * smallBlock, 8 * smallBlock, largeBlock}
	if rows >= largeRows {
		slices.Reverse(sizes)
	}
	return sizes[slices.IndexFunc(sizes, func(size int) bool { return !slices.Contains(inputs, size) })]
}

// blockSizes returns the block sizes of segments that are attached to an instance, in bytes.
func blockSizes(ctx context.Context, in *instance, segments []*segment) (sizes []int, err error) {
	names := make([]string, len(segments))
	for i, seg := range segments {
		names[i] = quoted(attachedName(seg.info.ID))
	}
	err = eachRow(ctx, in, "SELECT block_size FROM pragma_database_size() WHERE database_name IN ("+strings.Join(names, ", ")+")", func(rows *sql.Rows) error {
		var size int
		err := rows.Scan(&size)
		sizes = append(sizes, size)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("ask for the sizes of blocks: %w", err)
	}
	return sizes, nil
}

// writeSegment writes the files of a segment under their names. They are durable when it returns,
// and count once a manifest names them. After an error no file is left.
func (s *Store) writeSegment(ctx context.Context, in *instance, spec segmentSpec) (info SegmentInfo, err error) {
	info = SegmentInfo{ID: spec.id, Format: segmentFormat, Level: spec.level, Slices: len(spec.bounds) + 1}
	info.Data.Name, info.Filter.Name = dataName(spec.id), filterName(spec.id)
	data := s.segmentPath(info.Data.Name)
	filter := s.segmentPath(info.Filter.Name)
	defer func() {
		if err != nil {
			for _, path := range []string{data + ".tmp", data + ".tmp.wal", filter + ".tmp", data, filter} {
				_ = os.Remove(path)
			}
			_ = s.intents.end(info.Data.Name, info.Filter.Name)
			err = fmt.Errorf("write segment %s: %w", info.Data.Name, err)
		}
	}()
	var packed []byte
	if err := zeroed(func() error {
		packed, err = s.fillSegment(ctx, in, spec, &info)
		return err
	}); err != nil {
		return info, err
	}
	if err := durable.Write(filter+".tmp", bytes.NewReader(packed)); err != nil {
		return info, err
	}
	// DuckDB creates files that everyone may read. The folder protects them, but not copies of
	// them.
	if err := os.Chmod(data+".tmp", 0o600); err != nil {
		return info, err
	}
	if err := durable.SyncFile(data + ".tmp"); err != nil {
		return info, err
	}
	if err := s.step("segment written"); err != nil {
		return info, err
	}
	if err := describe(data+".tmp", &info.Data); err != nil {
		return info, err
	}
	if err := describe(filter+".tmp", &info.Filter); err != nil {
		return info, err
	}
	if err := s.intents.begin(info.Data.Name, info.Filter.Name); err != nil {
		return info, err
	}
	if err := os.Rename(data+".tmp", data); err != nil {
		return info, err
	}
	if err := os.Rename(filter+".tmp", filter); err != nil {
		return info, err
	}
	if err := durable.SyncDir(s.segmentDir()); err != nil {
		return info, err
	}
	return info, s.step("segment named")
}

// fillSegment writes the database file, reads back what the manifest needs, and returns the content
// of the file of filters: what is counted are the rows that were written.
func (s *Store) fillSegment(ctx context.Context, in *instance, spec segmentSpec, info *SegmentInfo) (packed []byte, err error) {
	path := s.segmentPath(info.Data.Name) + ".tmp"
	name := "w" + strconv.FormatUint(spec.id, 10)
	_ = os.Remove(path)
	if err := needDescriptors(instanceDescriptors); err != nil {
		return nil, err
	}
	if err := in.exec(ctx, "ATTACH "+quoted(path)+" AS "+name+" (BLOCK_SIZE "+strconv.Itoa(spec.block)+")"); err != nil {
		return nil, err
	}
	attached := true
	defer func() {
		if attached {
			_ = in.exec(context.WithoutCancel(ctx), "DETACH "+name)
		}
	}()
	if err := fillSlices(ctx, in, spec, name+"."+eventTable); err != nil {
		return nil, err
	}
	for _, table := range []string{rejectionTable, residueTable} {
		if err := in.exec(ctx, "CREATE TABLE "+name+"."+table+" AS SELECT "+columnsOf(table)+" FROM ("+spec.rows(table)+") ORDER BY "+orderOf(table)); err != nil {
			return nil, err
		}
	}
	if err := in.exec(ctx, "CREATE TABLE "+name+"."+sessionTable+" AS SELECT slice, session_id, app, min(occurred_at) AS first, max(occurred_at) AS last, count(*) AS events FROM "+
		name+"."+eventTable+" GROUP BY slice, session_id, app ORDER BY "+orderOf(sessionTable)); err != nil {
		return nil, err
	}
	if err := s.step("segment filled"); err != nil {
		return nil, err
	}
	if err := in.exec(ctx, "CHECKPOINT "+name); err != nil {
		return nil, err
	}
	if err := readStats(ctx, in, name, info); err != nil {
		return nil, err
	}
	if packed, err = filterSegment(ctx, in, name, info); err != nil {
		return nil, err
	}
	attached = false
	return packed, in.exec(ctx, "DETACH "+name)
}

// fillSlices writes events slice by slice: sorting all of a large segment at once takes more memory
// than background work has.
func fillSlices(ctx context.Context, in *instance, spec segmentSpec, table string) error {
	for i := range len(spec.bounds) + 1 {
		var within []string
		if i > 0 {
			within = append(within, "occurred_at >= "+strconv.FormatInt(spec.bounds[i-1], 10))
		}
		if i < len(spec.bounds) {
			within = append(within, "occurred_at < "+strconv.FormatInt(spec.bounds[i], 10))
		}
		rows := "SELECT " + strconv.Itoa(i) + "::UTINYINT AS slice, " + eventColumns + " FROM (" + spec.rows(eventTable) + ")"
		if len(within) > 0 {
			rows += " WHERE " + strings.Join(within, " AND ")
		}
		begin := "INSERT INTO " + table + " "
		if i == 0 {
			begin = "CREATE TABLE " + table + " AS "
		}
		if err := in.exec(ctx, begin+rows+" ORDER BY "+orderOf(eventTable)); err != nil {
			return fmt.Errorf("sort slice %d of %d: %w", i, len(spec.bounds)+1, err)
		}
	}
	return nil
}

// describe fills in the size and the checksum of a file.
func describe(path string, info *FileInfo) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	sum := sha256.New()
	if info.Bytes, err = io.Copy(sum, f); err != nil {
		return err
	}
	info.SHA256 = hex.EncodeToString(sum.Sum(nil))
	return nil
}

// largeRows is the number of rows from which a segment has DuckDB's default block size.
const largeRows = 100_000

// reserveID returns an id for a new segment.
func (s *Store) reserveID() uint64 { return s.lastID.Add(1) }
