package erasure

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"theeye/internal/durable"
)

// Log appends to a file of tombstones. It must not be used concurrently.
type Log struct {
	path string
	doc  Document
	torn bool // an append failed, so the file may contain more than doc
	next bool // doc is in the file with nextSuffix, with which FinishConversion replaces this one
}

// nextSuffix is the suffix of a file in the current format that is to replace one of the first
// format.
const nextSuffix = ".next"

// FinishConversion finishes a conversion to the current format that Add or an earlier process
// began: it durably replaces the file at path by the converted one.
func FinishConversion(path string) error {
	if _, err := os.Stat(path + nextSuffix); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := durable.Rename(path+nextSuffix, path); err != nil {
		return fmt.Errorf("write tombstones: %w", err)
	}
	return nil
}

// FinishConversion finishes the conversion that Add began, if any.
func (l *Log) FinishConversion() error {
	if !l.next {
		return nil
	}
	err := FinishConversion(l.path)
	l.next = err != nil
	return err
}

// OpenLog opens a file for appending; it need not exist. See Read for known.
func OpenLog(path string, known Digest) (*Log, error) {
	d, err := Read(path, known)
	if err != nil {
		return nil, err
	}
	return &Log{path: path, doc: d, torn: true}, nil
}

// Document returns the content of the file. Its list must not be changed.
func (l *Log) Document() Document { return l.doc }

// Digest returns the digest of the content of the file.
func (l *Log) Digest() Digest { return l.doc.digest() }

// key creates the key of the hashes, unless the file has one.
func (l *Log) key() error {
	if l.doc.Key != "" {
		return nil
	}
	key := make([]byte, sha256.Size)
	if _, err := rand.Read(key); err != nil {
		return err
	}
	l.doc.Key = hex.EncodeToString(key)
	return nil
}

// CreateKey creates the key of the hashes, unless the file has one. It is durable when CreateKey
// returns.
func (l *Log) CreateKey() error {
	if l.doc.lines > 0 {
		return nil
	}
	if err := l.key(); err != nil {
		return err
	}
	return l.appendLines(nil)
}

// SessionKey returns the keyed hash of a session id. It creates the key if there is none.
func (l *Log) SessionKey(session string) (string, error) {
	if err := l.key(); err != nil {
		return "", err
	}
	key, err := hex.DecodeString(l.doc.Key)
	return keyedHash(key, session), err
}

// Begin adds tombstones, which are durable when it returns. After an error, none of them is in
// force.
func (l *Log) Begin(added ...Tombstone) error {
	if len(added) == 0 {
		return nil
	}
	if err := l.key(); err != nil {
		return err
	}
	var lines []any
	for _, t := range added {
		lines = append(lines, t.beginLine())
	}
	return l.append(lines)
}

// Finish durably records that everything that the tombstones cover is gone, and that the queue was
// trimmed up to a frame of the current timeline.
func (l *Log) Finish(finished []Tombstone, trimmed uint64, timeline string) error {
	var lines []any
	for _, t := range finished {
		lines = append(lines, line{Finished: t.ID, Trimmed: trimmed, Timeline: timeline})
	}
	return l.append(lines)
}

// Add adds the tombstones of another document that the file lacks, as unfinished. last is the last
// frame of the directory. Add converts a file of the first format to the current one; call
// FinishConversion once earlier programs, which would misread the new format, can no longer start.
// It writes nothing if nothing changes.
func (l *Log) Add(other Document, last uint64) error {
	merged, err := l.doc.Merge(other)
	if err != nil {
		return &Error{l.path, err}
	}
	for i := len(l.doc.Tombstones); i < len(merged.Tombstones); i++ {
		merged.Tombstones[i].Added = last
	}
	if l.doc.first {
		if err := merged.Write(l.path + nextSuffix); err != nil {
			return err
		}
		l.next = true
		l.doc, err = Read(l.path+nextSuffix, Digest{})
		return err
	}
	l.doc.Key = merged.Key
	return l.Begin(merged.Tombstones[len(l.doc.Tombstones):]...)
}

func (l *Log) append(lines []any) error {
	if len(lines) == 0 {
		return nil
	}
	return l.appendLines(lines)
}

// appendLines appends lines, after the header in a new file.
func (l *Log) appendLines(lines []any) error {
	if err := l.FinishConversion(); err != nil {
		return err
	}
	if l.doc.lines == 0 {
		lines = append([]any{header{version, l.doc.Key}}, lines...)
	}
	b, err := encodeLines(lines)
	if err != nil {
		return err
	}
	if err := l.write(b); err != nil {
		return fmt.Errorf("write tombstones: %w", err)
	}
	return l.doc.extend(b)
}

// write durably appends bytes to the file. It first truncates an incomplete write of an earlier
// call or of a process that crashed.
func (l *Log) write(b []byte) (err error) {
	_, err = os.Stat(l.path)
	if errors.Is(err, fs.ErrNotExist) && l.doc.size == 0 {
		return durable.Replace(l.path, bytes.NewReader(b))
	}
	f, err := os.OpenFile(l.path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if l.torn {
		if err := f.Truncate(l.doc.size); err != nil {
			return err
		}
	}
	l.torn = true
	_, err = f.WriteAt(b, l.doc.size)
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		_ = f.Truncate(l.doc.size) // else the next start could take what was not begun as begun
		return err
	}
	l.torn = false
	return nil
}
