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

// walker looks at the blocks of the streams before the server opens them: what the server cannot
// read it cuts away, or passes over in silence. A block that does not verify is copied to the
// quarantine, whole. After a stop that was not in order it looks at every block, after another at
// those of metadata and of the audit log, which are small, and of which no other record tells
// what they had.
//
// The server keeps beside the blocks an index of what they hold, and believes it. When a block of a
// stream that limits the messages of a subject holds less, it looks for them for ever. So the index
// of such a stream is removed when one of its blocks does not verify: the server makes it again
// from the blocks. Such a block is replaced by those of its records that verify, because the server
// cuts away all behind a damaged one, or keeps it and waits for ever to deliver it. The stream of
// frames has no such limit and keeps its index and its blocks, by which the frames behind a damaged
// one can still be read.
//
// A description of a stream that is damaged is written again. The walker changes nothing else, and
// does not decide what is lost: the record of what was confirmed does.
type walker struct {
	dir        string // of the queue
	frames     bool   // the frames are looked at, too
	quarantine string
	streams    []jetstream.StreamConfig // of which the description can be written again
	// confirmed is the greatest sequence of a frame that was acknowledged, as far as it is known.
	confirmed uint64
	// damaged is called with the name of a stream when one of its blocks does not verify and no
	// write was merely cut off; its error ends the walk. It may be nil.
	damaged func(stream string) error
	log     *slog.Logger

	blocks, bytes, copied int
}

// quarantinedBlock begins the name of a copy, which goes on with the stream, the block's number and
// the beginning of the copy's SHA-256.
const quarantinedBlock = "block-"

// walkPage is the unit in which a block is read around places that its disk cannot read, in bytes.
const walkPage = 4 << 10

// blockMost bounds what is read as a block, in bytes. The server begins another one at 8 MiB.
const blockMost = 64 << 20

var (
	// errUnreadable is the reason of a block that its disk cannot read as a whole.
	errUnreadable = errors.New("the disk cannot read all of it")
	errNoBlock    = fmt.Errorf("no block has more than %d MiB, and each is a regular file", blockMost>>20)
)

// walk does the work. It returns an error when a block that does not verify cannot be copied,
// because the server would then destroy the only one, and for what is no damage, such as a
// missing permission.
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
	w.log.Info("the queue's files were checked, as after every restore and every end that was not in order",
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
	last   bool // the one that the server writes
}

func blockName(index uint32) string { return strconv.FormatUint(uint64(index), 10) + ".blk" }

// copyName is the name of a copy of a block in the quarantine.
func (b block) copyName(content []byte) string {
	sum := sha256.Sum256(content)
	return fmt.Sprintf("%s%s-%d-%x.blk", quarantinedBlock, b.stream, b.index, sum[:8])
}

// blocksOf returns the folder of a stream's blocks and their numbers, in order. A purge that was
// interrupted when its new folder had a block is finished by the server: the new folder counts.
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

// streamForm looks into the description of a stream. form says what is unknown about the form of
// its blocks, nil when it is the one that is read here. Without a description that can be read,
// which the server tells, the common form is tried.
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
		return nil, nil, nil //nolint:nilerr // the server tells
	}
	switch {
	case meta.Compression != "" && meta.Compression != "none":
		return fmt.Errorf("the stream is compressed with %.20q", meta.Compression), nil, nil
	case meta.Name != filepath.Base(dir):
		return fmt.Errorf("the stream calls itself %.80q", meta.Name), nil, nil
	}
	return nil, meta.Subjects, nil
}

// block walks one block.
func (w *walker) block(b block, form error, subjects []string) error {
	content, err := readBlock(b.path)
	if errors.Is(err, errNoBlock) {
		w.log.Warn("a file of the queue is not a block, so that damage to it is not noticed; it was not copied", "file", b.path, "reason", err)
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
		return fmt.Errorf("%s does not verify (%w) and cannot be copied to %s, and the server would destroy what is left of it: %w; make room, or copy the data directory, and start again",
			b.path, err, w.quarantine, copyErr)
	}
	w.log.Warn("a block of the queue does not verify; it was copied before the server opens it", "file", b.path, "copy", name, "reason", err)
	bad, ok := errors.AsType[*BlockError](err)
	// Only a server that was killed leaves a record cut off.
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

// repairBlock replaces a block, of which there is a copy, by its intact records. The index goes
// first, because nothing would remove it later.
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
		return fmt.Errorf("replace a damaged block by its sound records: %w", err)
	}
	return nil
}

// isTornWrite reports whether a block ends as one does after the server was killed while it wrote a
// record. Nobody was told that such a record is durable, unless it was confirmed: then it was
// whole once.
func (w *walker) isTornWrite(b block, bad *BlockError) bool {
	return bad.Torn && b.last && b.stream == Stream && (bad.Sequence == 0 || bad.Sequence > w.confirmed)
}

// blockForm says what is unknown about the form of a block.
func blockForm(path string, content []byte) error {
	if _, err := os.Stat(strings.TrimSuffix(path, ".blk") + ".key"); err == nil {
		return errors.New("the block is encrypted")
	}
	// A record may begin with the same three bytes, and is then followed by the high byte of its
	// length, which is 0 or the bit of a header alone.
	if len(content) > 3 && string(content[:3]) == "cmp" && content[3]&0x7f != 0 {
		return errors.New("the block is compressed")
	}
	return nil
}

// copyUnknown keeps a copy of a block whose form is not known. It is no reason not to start.
func (w *walker) copyUnknown(b block, content []byte, form error) {
	name, err := w.copyBlock(b, content)
	if err != nil {
		w.log.Warn("a block of the queue has a form that is not known, so that damage to it is not noticed, and it could not be copied", "file", b.path, "reason", form, "error", err)
		return
	}
	w.log.Warn("a block of the queue has a form that is not known, so that damage to it is not noticed; it was copied", "file", b.path, "copy", name, "reason", form)
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

// readBlock reads a file. With errUnreadable it returns it with zeros in the places that the disk
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
	if !info.Mode().IsRegular() || info.Size() > blockMost {
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
