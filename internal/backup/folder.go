package backup

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"theeye/internal/durable"
	"theeye/internal/envelope"
)

// lockName is the file that marks a folder as one of backups. The writer of the folder holds a lock
// on it.
const lockName = "backup.lock"

// ErrContent is returned for a file that differs from its entry in the index.
var ErrContent = errors.New("the content is not what the index says")

// Folder keeps one backup:
//
//	DIR/backup.json  the index, written last
//	DIR/files/       the files, each with a part of its checksum in its name
//	DIR/backup.lock
//
// A backup into the folder adds files, and replaces the previous backup when it writes its index.
// If it is interrupted, the previous backup is still complete, and the next one uses the files that
// were already copied.
type Folder struct {
	dir     string
	made    bool // by OpenFolder
	lock    *os.File
	corrupt map[string]bool // names in filesDir, found by VerifyFiles
}

// OpenFolder opens a folder for writing, and creates it if it is missing. It rejects a folder that
// contains something else, is in a data directory, or has a backup of a newer version
// (envelope.ErrNewer).
func OpenFolder(dir string) (*Folder, error) {
	if err := checkPlace(dir, false); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	missing := errors.Is(err, os.ErrNotExist)
	if err != nil && !missing {
		return nil, fmt.Errorf("open the backup's folder: %w", err)
	}
	lock := filepath.Join(dir, lockName)
	if _, err := os.Stat(lock); err != nil && len(entries) > 0 {
		return nil, fmt.Errorf("%s holds something else than a backup: give an empty folder", dir)
	}
	if err := durable.MkdirAll(filepath.Join(dir, filesDir), 0o700); err != nil {
		return nil, fmt.Errorf("make the backup's folder: %w", err)
	}
	f, err := os.OpenFile(lock, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the backup's folder: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("another backup into %s is running", dir), f.Close())
	}
	// A damaged or unfinished backup is replaced by the next.
	if _, err := ReadIndex(dir); errors.Is(err, envelope.ErrNewer) || durable.Denied(err) {
		return nil, errors.Join(err, f.Close())
	}
	return &Folder{dir: dir, made: missing, lock: f, corrupt: map[string]bool{}}, nil
}

// Dir returns the path of the folder.
func (d *Folder) Dir() string { return d.dir }

// Close releases the folder. One that OpenFolder created and in which nothing was saved is removed.
func (d *Folder) Close() error {
	if d.made && os.Remove(filepath.Join(d.dir, filesDir)) == nil { // it was empty
		if os.Remove(filepath.Join(d.dir, lockName)) == nil {
			_ = os.Remove(d.dir)
		}
	}
	return d.lock.Close()
}

// Size returns the size of the files in the folder, in bytes.
func (d *Folder) Size() (n int64, err error) {
	entries, err := os.ReadDir(filepath.Join(d.dir, filesDir))
	if err != nil {
		return 0, fmt.Errorf("look at what is kept: %w", err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			return 0, fmt.Errorf("look at what is kept: %w", err)
		}
		n += info.Size()
	}
	return n, nil
}

// VerifyFiles reads all files in the folder and returns the names of the corrupt ones. It does not
// remove them, but from then on they count as missing, and Save replaces them. It also writes what
// it reads to progress, unless that is nil.
func (d *Folder) VerifyFiles(progress io.Writer) (corrupt []string, err error) {
	entries, err := os.ReadDir(filepath.Join(d.dir, filesDir))
	if err != nil {
		return nil, fmt.Errorf("check what is kept: %w", err)
	}
	if progress == nil {
		progress = io.Discard
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".tmp") { // left by a backup that was interrupted
			continue
		}
		sum := sha256.New()
		err := readFile(filepath.Join(d.dir, filesDir, e.Name()), io.MultiWriter(sum, progress))
		if err != nil && !errors.Is(err, syscall.EIO) {
			return nil, fmt.Errorf("check what is kept: %w", err)
		}
		if err != nil || !strings.HasSuffix(strings.ToLower(e.Name()), "."+hex.EncodeToString(sum.Sum(nil))[:sumPart]) {
			d.corrupt[e.Name()] = true
			corrupt = append(corrupt, e.Name())
		}
	}
	return corrupt, nil
}

func readFile(name string, to io.Writer) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, f)
	return errors.Join(err, f.Close())
}

// Missing returns the files of an index that are missing in the folder, have another size, or were
// found corrupt by VerifyFiles.
func (d *Folder) Missing(x Index) (missing []File, err error) {
	if err := x.Check(); err != nil {
		return nil, err
	}
	for _, f := range x.Files {
		info, err := os.Stat(filepath.Join(d.dir, f.file()))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("look for %s: %w", f.Name, err)
		}
		if err != nil || info.Size() != f.Bytes || d.corrupt[filepath.Base(f.file())] {
			missing = append(missing, f)
		}
	}
	return missing, nil
}

// Save saves a file, whose content it reads from in. The error is ErrContent if the content differs
// from the index. The file is durable when Save returns nil.
func (d *Folder) Save(f File, in io.Reader) error {
	if err := f.check(); err != nil {
		return err
	}
	err := durable.Replace(filepath.Join(d.dir, f.file()), newCheckingReader(in, f))
	if err != nil {
		return fmt.Errorf("keep %s: %w", f.Name, err)
	}
	delete(d.corrupt, filepath.Base(f.file()))
	return nil
}

// Discard removes files that were saved for an unfinished backup.
func (d *Folder) Discard(files []File) error {
	for _, f := range files {
		if err := os.Remove(filepath.Join(d.dir, f.file())); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("remove what was copied: %w", err)
		}
	}
	return nil
}

// Extract copies a file of the backup in a folder, durably. It overwrites nothing.
func Extract(dir, name, to string) (x Index, err error) {
	if x, err = ReadIndex(dir); err != nil {
		return x, err
	}
	i := slices.IndexFunc(x.Files, func(f File) bool { return f.Name == name })
	if i < 0 {
		return x, fmt.Errorf("the backup in %s has no file %q; its %s lists those that it has", dir, name, indexName)
	}
	if _, err := os.Lstat(to); err == nil {
		return x, fmt.Errorf("%s is there already: move it away first, or give another name", to)
	}
	f := x.Files[i]
	in, err := os.Open(filepath.Join(dir, f.file()))
	if err == nil {
		err = errors.Join(durable.Replace(to, newCheckingReader(in, f)), in.Close())
	}
	if err != nil {
		return x, fmt.Errorf("extract %s: %w", f.file(), err)
	}
	return x, nil
}

// ReadFile returns the content of a file in the folder. The error wraps fs.ErrNotExist if the file
// is missing, and ErrContent if it is corrupt.
func ReadFile(dir string, f File) (content []byte, err error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	in, err := os.Open(filepath.Join(dir, f.file()))
	if err == nil {
		content, err = io.ReadAll(newCheckingReader(in, f))
		err = errors.Join(err, in.Close())
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", f.file(), err)
	}
	return content, nil
}

// Unlisted returns the manifests in a folder, whatever its index says, except those just copied,
// and whether there are segments.
func Unlisted(dir string, copied []File) (manifests [][]byte, segments bool, err error) {
	entries, err := os.ReadDir(filepath.Join(dir, filesDir))
	if err != nil {
		return nil, false, err
	}
	for _, e := range entries {
		isNew := slices.ContainsFunc(copied, func(f File) bool { return filepath.Base(f.file()) == e.Name() })
		switch {
		case isNew:
		case strings.HasPrefix(e.Name(), manifestName+"."):
			b, err := os.ReadFile(filepath.Join(dir, filesDir, e.Name()))
			if err != nil {
				return nil, false, err
			}
			manifests = append(manifests, b)
		case strings.Contains(e.Name(), ".duckdb."):
			segments = true
		}
	}
	return manifests, segments, nil
}

// Finish makes x the backup of the folder, and removes the files that it does not list.
func (d *Folder) Finish(x Index) error {
	if err := durable.SyncDir(filepath.Join(d.dir, filesDir)); err != nil {
		return fmt.Errorf("finish the backup: %w", err)
	}
	if err := x.write(d.dir); err != nil {
		return fmt.Errorf("finish the backup: %w", err)
	}
	listed := map[string]bool{}
	for _, f := range x.Files {
		listed[filepath.Base(f.file())] = true
	}
	entries, err := os.ReadDir(filepath.Join(d.dir, filesDir))
	if err != nil {
		return fmt.Errorf("remove what is old: %w", err)
	}
	for _, e := range entries {
		if !listed[e.Name()] {
			err = errors.Join(err, os.Remove(filepath.Join(d.dir, filesDir, e.Name())))
		}
	}
	if err != nil {
		return fmt.Errorf("remove what is old: %w", err)
	}
	return nil
}

// checkingReader reads a file and compares it with its index at the end.
type checkingReader struct {
	in   io.Reader
	want File
	sum  hash.Hash
	read int64
}

func newCheckingReader(in io.Reader, f File) *checkingReader {
	return &checkingReader{in: in, want: f, sum: sha256.New()}
}

func (c *checkingReader) Read(b []byte) (int, error) {
	n, err := c.in.Read(b)
	_, _ = c.sum.Write(b[:n]) // never fails
	c.read += int64(n)
	if c.read > c.want.Bytes || errors.Is(err, io.EOF) && c.fault() != "" {
		return n, fmt.Errorf("%w: %s", ErrContent, c.fault())
	}
	return n, err
}

// fault says how the content, which was read completely, differs from the index; "" if it does not.
func (c *checkingReader) fault() string {
	if c.read != c.want.Bytes {
		return fmt.Sprintf("it has %d bytes instead of %d", c.read, c.want.Bytes)
	}
	if !strings.EqualFold(hex.EncodeToString(c.sum.Sum(nil)), c.want.SHA256) {
		return "its checksum does not match"
	}
	return ""
}
