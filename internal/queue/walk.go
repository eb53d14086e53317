package queue

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go/jetstream"

	"theeye/internal/durable"
)

// walker checks the blocks of the streams before NATS opens them, because NATS cuts off or silently
// ignores what it cannot read. A block that does not verify is copied to the quarantine as a whole.
// After an unclean shutdown, the walker checks all blocks. Otherwise it checks those of the
// metadata and of the audit log, which are small, and for which there is no confirmed record.
//
// NATS trusts an index of the blocks' contents. If a block of a stream that limits the messages per
// subject contains fewer than the index says, NATS searches for them indefinitely. So if a block of
// such a stream does not verify, the index is removed, and NATS rebuilds it. The block is replaced
// by its records that verify: NATS would otherwise cut off everything after a damaged record, or
// wait indefinitely to deliver it. The stream of frames has no such limit. It keeps its index and
// its blocks, with which the frames after a damaged one can still be read.
//
// A damaged description of a stream is rewritten. The walker changes nothing else. It does not
// decide what is lost: that is determined from the confirmed record.
type walker struct {
	dir        string // of the queue
	frames     bool   // check the blocks of frames, too
	quarantine string
	streams    []jetstream.StreamConfig // whose descriptions can be rewritten
	// confirmed is the greatest known sequence of an acknowledged frame.
	confirmed uint64
	// damaged is Options.OnDamage. Its error ends the walk.
	damaged func(stream string) error
	log     *slog.Logger

	blocks, bytes, copied int
}

// quarantinedBlock begins the name of a copy. The stream, the number of the block and the beginning
// of the copy's SHA-256 follow.
const quarantinedBlock = "block-"

// walkPage is the unit, in bytes, in which a block is read if its disk cannot read all of it.
const walkPage = 4 << 10

// maxBlockBytes bounds what is read as a block, in bytes. NATS begins a new one at 8 MiB.
const maxBlockBytes = 64 << 20

var (
	// errUnreadable reports that parts of a block cannot be read from its disk.
	errUnreadable = errors.New("the disk cannot read all of it")
	errNoBlock    = fmt.Errorf("a block is a regular file of at most %d MiB", maxBlockBytes>>20)
)

// walk checks the streams. It returns an error if a block that does not verify cannot be copied,
// because NATS would destroy the only copy, and for failures other than damage, such as a missing
// permission.
func (w *walker) walk(ctx context.Context) error {
	began := time.Now()
	streams, err := filepath.Glob(filepath.Join(quoteGlob(w.dir), "jetstream", "*", "streams", "*"))
	if err != nil {
		return fmt.Errorf("find the streams: %w", err)
	}
	for _, dir := range streams {
		described, err := w.repairDescription(dir)
		if err == nil && (w.frames || described || filepath.Base(dir) != Stream) {
			err = w.stream(ctx, dir)
		}
		if err != nil {
			return fmt.Errorf("check the files of %s in the queue: %w", filepath.Base(dir), err)
		}
	}
	if !w.frames {
		return nil
	}
	w.log.Info("the queue's files were checked, as after every restore and every unclean shutdown",
		"blocks", w.blocks, "bytes", w.bytes, "copied_to_quarantine", w.copied, "took", time.Since(began).Round(time.Millisecond).String())
	return nil
}

func quoteGlob(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

// stream walks one stream.
func (w *walker) stream(ctx context.Context, dir string) error {
	name := filepath.Base(dir)
	form, subjects, err := streamForm(dir)
	if err != nil {
		return err
	}
	msgs, indexes, err := blocksOf(dir)
	if err != nil {
		return err
	}
	for i, index := range indexes {
		if err := ctx.Err(); err != nil {
			return err
		}
		b := block{stream: name, index: index, path: filepath.Join(msgs, blockName(index)), last: i == len(indexes)-1}
		if err := w.block(b, form, subjects); err != nil {
			return err
		}
	}
	return nil
}

// block is one file.
type block struct {
	stream string
	index  uint32
	path   string
	last   bool // the block to which NATS appends
}

func blockName(index uint32) string { return strconv.FormatUint(uint64(index), 10) + ".blk" }

// copyName returns the name of a copy of the block in the quarantine.
func (b block) copyName(content []byte) string {
	sum := sha256.Sum256(content)
	return fmt.Sprintf("%s%s-%d-%x.blk", quarantinedBlock, b.stream, b.index, sum[:8])
}

// blocksOf returns the folder of a stream's blocks and their numbers, in order. If a purge was
// interrupted after its new folder had a block, NATS finishes it: the new folder counts.
func blocksOf(dir string) (msgs string, indexes []uint32, err error) {
	for _, folder := range []string{"__new_msgs__", "msgs"} {
		msgs = filepath.Join(dir, folder)
		entries, err := os.ReadDir(msgs)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return msgs, nil, err
		}
		for _, e := range entries {
			if number, ok := strings.CutSuffix(e.Name(), ".blk"); ok {
				if n, err := strconv.ParseUint(number, 10, 32); err == nil {
					indexes = append(indexes, uint32(n))
				}
			}
		}
		if indexes != nil {
			break
		}
	}
	slices.Sort(indexes)
	return msgs, indexes, nil
}

// streamForm reads the description of a stream. form says what is unknown about the form of its
// blocks; it is nil if newBlockReader can read them, and if there is no readable description, which
// NATS reports.
func streamForm(dir string) (form error, subjects []string, err error) {
	if _, err := os.Stat(filepath.Join(dir, "meta.key")); err == nil {
		return errors.New("the stream is encrypted"), nil, nil
	}
	b, err := os.ReadFile(filepath.Join(dir, "meta.inf"))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.EIO) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	var meta struct {
		Name        string   `json:"name"`
		Subjects    []string `json:"subjects"`
		Compression string   `json:"compression"`
	}
	if err := json.Unmarshal(b, &meta); err != nil {
		return nil, nil, nil //nolint:nilerr // the server reports it
	}
	switch {
	case meta.Compression != "" && meta.Compression != "none":
		return fmt.Errorf("the stream is compressed with %.20q", meta.Compression), nil, nil
	case meta.Name != filepath.Base(dir):
		return fmt.Errorf("the stream's description has the name %.80q", meta.Name), nil, nil
	}
	return nil, meta.Subjects, nil
}

// block walks one block.
func (w *walker) block(b block, form error, subjects []string) error {
	content, err := readBlock(b.path)
	if errors.Is(err, errNoBlock) {
		w.log.Warn("a file of the queue is not a block, so damage to it is not noticed; it was not copied", "file", b.path, "reason", err)
		return nil
	}
	if err != nil && !errors.Is(err, errUnreadable) {
		return err
	}
	w.blocks++
	w.bytes += len(content)
	if form == nil {
		form = blockForm(b.path, content)
	}
	if form != nil {
		w.copyUnknown(b, content, form)
		return nil
	}
	if err == nil {
		err = newBlockReader(b.stream, b.index, subjects).walk(content, nil)
		if bad, ok := errors.AsType[*BlockError](err); err == nil || ok && w.isTornWrite(b, bad) {
			return nil
		}
	}
	name, copyErr := w.copyBlock(b, content)
	if copyErr != nil {
		return fmt.Errorf("%s does not verify (%w) and cannot be copied to %s, and the server would destroy what is left of it: %w; free disk space, or copy the data directory, and start again",
			b.path, err, w.quarantine, copyErr)
	}
	w.log.Warn("a block of the queue does not verify; it was copied to the quarantine before the server opens it", "file", b.path, "copy", name, "reason", err)
	bad, ok := errors.AsType[*BlockError](err)
	// Only a server that was killed leaves an incomplete record.
	if cutOff := w.frames && ok && bad.Torn && b.last; w.damaged != nil && !cutOff {
		if err := w.damaged(b.stream); err != nil {
			return err
		}
	}
	if b.stream == Stream {
		return nil
	}
	return repairBlock(b, newBlockReader(b.stream, b.index, subjects).intact(content))
}

// repairBlock replaces a block, of which there is a copy, by its intact records. It removes the
// index first, because after a crash in between nothing else would.
func repairBlock(b block, sound []byte) error {
	dir := filepath.Dir(b.path)
	err := os.Remove(filepath.Join(dir, "index.db"))
	if err == nil {
		err = durable.SyncDir(dir)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the index of a damaged stream: %w", err)
	}
	if err := durable.Replace(b.path, bytes.NewReader(sound)); err != nil {
		return fmt.Errorf("replace a damaged block by its intact records: %w", err)
	}
	return nil
}

// isTornWrite reports whether a block ends with a record whose write was interrupted by a kill.
// Such a record was never acknowledged. If the confirmed record lists it, it was complete once, and
// the block is damaged.
func (w *walker) isTornWrite(b block, bad *BlockError) bool {
	return bad.Torn && b.last && b.stream == Stream && (bad.Sequence == 0 || bad.Sequence > w.confirmed)
}

// blockForm says what is unknown about the form of a block; nil if newBlockReader can read it.
func blockForm(path string, content []byte) error {
	if _, err := os.Stat(strings.TrimSuffix(path, ".blk") + ".key"); err == nil {
		return errors.New("the block is encrypted")
	}
	// A record may begin with the same three bytes. The high byte of its length follows, which is 0
	// or has only the bit for a header.
	if len(content) > 3 && string(content[:3]) == "cmp" && content[3]&0x7f != 0 {
		return errors.New("the block is compressed")
	}
	return nil
}

// copyUnknown copies a block whose form is not known to the quarantine. NATS starts even if that
// fails.
func (w *walker) copyUnknown(b block, content []byte, form error) {
	name, err := w.copyBlock(b, content)
	if err != nil {
		w.log.Warn("a block of the queue has an unknown form, so damage to it is not noticed, and it could not be copied", "file", b.path, "reason", form, "error", err)
		return
	}
	w.log.Warn("a block of the queue has an unknown form, so damage to it is not noticed; it was copied to the quarantine", "file", b.path, "copy", name, "reason", form)
}

// copyBlock copies a block durably, unless the same bytes were copied before, and returns the name.
func (w *walker) copyBlock(b block, content []byte) (string, error) {
	name := filepath.Join(w.quarantine, b.copyName(content))
	if info, err := os.Stat(name); err == nil && info.Size() == int64(len(content)) {
		return name, nil
	}
	if err := durable.MkdirAll(w.quarantine, 0o700); err != nil {
		return "", err
	}
	if err := durable.Replace(name, bytes.NewReader(content)); err != nil {
		return "", err
	}
	w.copied++
	return name, nil
}

// readBlock reads a file. With errUnreadable, the result has zeros in the places that the disk
// cannot read.
func readBlock(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxBlockBytes {
		return nil, errNoBlock
	}
	return readAround(f, info.Size())
}

func readAround(r io.ReaderAt, size int64) ([]byte, error) {
	b := make([]byte, size)
	n, err := r.ReadAt(b, 0)
	if err == nil || errors.Is(err, io.EOF) {
		return b[:n], nil
	}
	if !errors.Is(err, syscall.EIO) {
		return nil, err
	}
	for at := int64(0); at < size; at += walkPage {
		page := b[at:min(at+walkPage, size)]
		if _, err := r.ReadAt(page, at); errors.Is(err, syscall.EIO) {
			clear(page)
		} else if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
	}
	return b, errUnreadable
}
