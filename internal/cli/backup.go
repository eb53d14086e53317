package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/spf13/cobra"

	"theeye/internal/backup"
	"theeye/internal/client"
	"theeye/internal/plural"
	"theeye/internal/wait"
)

const (
	backupTries = 5 // of a backup whose lease ends
	fetchTries  = 8 // of one file, while the server is down or busy
	// prepareTime bounds how long a backup waits for the server, which first writes everything into
	// segments. That takes seconds, or minutes if many events are in the queue.
	prepareTime = time.Hour
)

// newBackupCommand returns `eye backup`.
func newBackupCommand(s stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use: "backup DIR", Short: "Copy all data of a running server into a folder", Args: args(cobra.ExactArgs(1)),
		Long: "Copy all data of a running server into a folder, as of one moment. Requires an admin key.\n" +
			"A backup into the folder of an earlier one copies only what is new and replaces it; an interrupted backup continues.\n" +
			"Keys are not copied, only their hashes. `eye restore` turns a backup into a data directory.",
	}
	f := &backupFlags{clientFlags: newClientFlags(cmd, s), pause: wait.For}
	cmd.Flags().BoolVar(&f.verify, "verify", false, "first verify the files of the earlier backup, and copy those again whose checksums do not match")
	cmd.RunE = func(cmd *cobra.Command, got []string) error { return f.run(cmd.Context(), got[0]) }
	cmd.AddCommand(newBackupVerifyCommand(s, f.clientFlags), newBackupExtractCommand(f.clientFlags))
	return cmd
}

type backupFlags struct {
	*clientFlags
	pause  func(context.Context, time.Duration) error
	verify bool
	waited string // the last reason to wait that was printed
}

// backupSummary describes what a backup did.
type backupSummary struct {
	TakenAt     time.Time `json:"taken_at"`
	Files       int       `json:"files"`
	Bytes       int64     `json:"bytes"`
	CopiedFiles int       `json:"copied_files"`
	CopiedBytes int64     `json:"copied_bytes"`
	LastFrame   uint64    `json:"last_frame"`
	RottenFiles int       `json:"rotten_files"` // found with --verify
	// DamagedSegments counts the segments that are damaged on the server. KeptSegments of them are
	// in the backup because an earlier backup has their files.
	DamagedSegments int `json:"damaged_segments"`
	KeptSegments    int `json:"kept_segments"`
}

func (f *backupFlags) run(ctx context.Context, dir string) (err error) {
	c, err := f.client()
	if err != nil {
		return err
	}
	folder, err := backup.OpenFolder(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, folder.Close()) }()
	var (
		sum     backupSummary
		damaged damagedInBackup
	)
	if f.verify { // before the lease begins, because it reads all files
		if sum.RottenFiles, err = f.checkKept(folder); err != nil {
			return err
		}
	}
	for try := 1; ; try++ {
		damaged, err = f.copyAll(ctx, c, folder, &sum)
		if p, ok := errors.AsType[*client.Problem](err); ok && p.Status == http.StatusGone && try < backupTries {
			_, _ = fmt.Fprintln(f.err, "eye: the backup's lease has ended; starting again, keeping the files copied so far")
			continue
		}
		if err != nil {
			return err
		}
		break
	}
	if err := f.summarize(sum, dir); err != nil {
		return err
	}
	for _, line := range damaged.lines(dir) {
		_, _ = fmt.Fprintln(f.err, "eye: "+printable(advise(line, f.where()), maxMessage))
	}
	if damaged.unknown() > 0 {
		return &exitError{exitFailed}
	}
	return nil
}

func (f *backupFlags) summarize(sum backupSummary, dir string) error {
	if f.json {
		b, err := json.Marshal(sum)
		if err != nil {
			return fmt.Errorf("print summary: %w", err)
		}
		return printDocument(f.clientFlags, b)
	}
	_, err := fmt.Fprintf(f.out, "backup of %s in %s: %s, %s; %s, %s were copied\n", sum.TakenAt.Format(time.RFC3339), dir,
		plural.Count(sum.Files, "file"), sizeText(sum.Bytes), plural.Count(sum.CopiedFiles, "file"), sizeText(sum.CopiedBytes))
	return err
}

// checkKept reads the files in a folder, and prints the names of those that must be copied again.
func (f *backupFlags) checkKept(folder *backup.Folder) (int, error) {
	n, err := folder.Size()
	if err != nil {
		return 0, err
	}
	bar := newBar(f.err, n)
	corrupt, err := folder.VerifyFiles(bar)
	bar.close()
	for _, name := range corrupt {
		_, _ = fmt.Fprintf(f.err, "eye: %s has changed since it was copied\n", name)
	}
	return len(corrupt), err
}

// copyAll fetches the manifest and copies the files that the folder does not have yet. Finish then
// removes copies that are no longer needed.
func (f *backupFlags) copyAll(ctx context.Context, c *client.Client, folder *backup.Folder, sum *backupSummary) (d damagedInBackup, err error) {
	x, err := f.manifest(ctx, c)
	if err != nil {
		return d, err
	}
	missing, err := folder.Missing(x)
	if err != nil {
		return d, err
	}
	// The queue keeps its frames until another file is requested, so frames come first. Then comes
	// the manifest: it decides whether the backup may replace the earlier one.
	slices.SortStableFunc(missing, func(a, b backup.File) int {
		rank := map[backup.Kind]int{backup.Frames: -2, backup.Manifest: -1}
		return cmp.Compare(rank[a.Kind], rank[b.Kind])
	})
	first := slices.IndexFunc(missing, func(f backup.File) bool { return f.Kind != backup.Frames && f.Kind != backup.Manifest })
	if first < 0 {
		first = len(missing)
	}
	f.waited = ""
	bar := newBar(f.err, backup.Index{Files: missing}.Bytes())
	defer bar.close()
	work := copying{f, c, folder, x.Lease, bar, sum}
	if err := work.files(ctx, missing[:first]); err != nil {
		return d, err
	}
	m, err := manifestOf(folder.Dir(), x)
	if err == nil {
		err = checkLineage(folder.Dir(), m, missing[:first])
	}
	if err != nil { // the copied files belong to no backup in this folder
		return d, errors.Join(err, folder.Discard(missing[:first]))
	}
	if err := work.files(ctx, missing[first:]); err != nil {
		return d, err
	}
	if d, err = keepDamaged(folder, &x, m); err != nil {
		return d, err
	}
	sum.TakenAt, sum.Files, sum.Bytes, sum.LastFrame = x.TakenAt, len(x.Files), x.Bytes(), x.Last
	sum.DamagedSegments, sum.KeptSegments = len(m.Damaged), len(d.kept)
	return d, folder.Finish(x)
}

// copying holds what is needed to copy the files of one backup.
type copying struct {
	flags  *backupFlags
	client *client.Client
	folder *backup.Folder
	lease  string
	bar    *bar
	sum    *backupSummary
}

// files copies some files into the folder.
func (w copying) files(ctx context.Context, files []backup.File) error {
	for _, file := range files {
		r := client.Request{Method: http.MethodGet, Path: client.BackupFilePath(file.Name), Query: url.Values{"lease": {w.lease}}}
		err := w.flags.withRetries(ctx, func() error {
			return w.client.Stream(ctx, r, func(in io.Reader) error { return w.folder.Save(file, io.TeeReader(in, w.bar)) })
		})
		if errors.Is(err, backup.ErrContent) {
			return fmt.Errorf("%w; run `eye store verify` on the server's machine to see whether its files are damaged", err)
		}
		if err != nil {
			return err
		}
		w.sum.CopiedFiles++
		w.sum.CopiedBytes += file.Bytes
	}
	return nil
}

// manifest requests the index of a backup until the server has prepared it.
func (f *backupFlags) manifest(ctx context.Context, c *client.Client) (x backup.Index, err error) {
	r := client.Request{Method: http.MethodGet, Path: client.BackupManifestPath}
	reported := ""
	for waited := time.Duration(0); ; {
		err := f.withRetries(ctx, func() error {
			body, err := c.Do(ctx, r)
			if p, ok := errors.AsType[*client.Problem](err); ok && p.Status == http.StatusServiceUnavailable && p.RetryAfter != "" {
				return &preparingError{p}
			}
			if err != nil {
				return err
			}
			return client.Decode(r.Path, body, &x)
		})
		p, ok := errors.AsType[*preparingError](err)
		if !ok {
			return x, err
		}
		if waited > prepareTime {
			return x, p.Problem
		}
		if p.Detail != reported {
			reported = p.Detail
			_, _ = fmt.Fprintln(f.err, "eye: "+printable(reported, maxMessage))
		}
		delay := max(firstBackoff, retryAfter(p.RetryAfter, time.Now()))
		waited += delay
		if err := f.pause(ctx, delay); err != nil {
			return x, fmt.Errorf("interrupted: %w", err)
		}
	}
}

// preparingError is the answer of a server that is still preparing the backup.
type preparingError struct{ *client.Problem }

// withRetries retries while the server is down or busy.
func (f *backupFlags) withRetries(ctx context.Context, do func() error) error {
	for try := 0; ; try++ {
		err := do()
		if err == nil || !isRetryable(err) || try == fetchTries-1 {
			return err
		}
		if text := err.Error(); text != f.waited { // do not repeat the same reason
			f.waited = text
			_, _ = fmt.Fprintln(f.err, "eye: "+printable(advise(text, f.where()), maxMessage)+"; trying again")
		}
		if err := f.pause(ctx, backoff(try, err)); err != nil {
			return fmt.Errorf("interrupted: %w", err)
		}
	}
}

// repairAdvice says what to do about damaged files of a backup.
func repairAdvice(dir string) string {
	return fmt.Sprintf("`eye backup --verify %s` copies damaged files again, on a machine with a server that still has them", shellWord(dir))
}

// adviseIndex adds to the error of a damaged index what to do about it.
func adviseIndex(dir string, err error) error {
	if errors.Is(err, backup.ErrIndex) {
		return fmt.Errorf("%w; `eye backup --verify %s` makes it again, on the machine of that server; otherwise use another backup", err, shellWord(dir))
	}
	return err
}

// newBackupVerifyCommand returns `eye backup verify`.
func newBackupVerifyCommand(s stdio, f *clientFlags) *cobra.Command {
	cmd := &cobra.Command{
		Use: "verify DIR", Short: "Check a backup: checksums of all files, and each frame", Args: args(cobra.ExactArgs(1)),
		Long: "Check a backup: checksums of all files, and each frame. Exit code 1 if something is wrong.",
	}
	cmd.RunE = func(_ *cobra.Command, got []string) error {
		x, err := backup.ReadIndex(got[0])
		if err != nil {
			return adviseIndex(got[0], err)
		}
		bar := newBar(s.err, x.Bytes())
		_, faults, err := backup.Verify(got[0], bar)
		bar.close()
		if err != nil {
			return err
		}
		if len(faults) > 0 {
			_, _ = fmt.Fprintln(s.err, "eye: "+repairAdvice(got[0]))
		}
		found := make([]fault, 0, len(faults))
		for _, one := range faults {
			found = append(found, fault(one))
		}
		if m, err := manifestOf(got[0], x); err == nil { // otherwise it is among the faults, or of a newer version
			damaged := damagedOf(x, m)
			for _, line := range damaged.lines(got[0]) {
				_, _ = fmt.Fprintln(s.err, "eye: "+printable(line, maxMessage))
			}
			for _, one := range damaged.absent {
				if !one.Acknowledged {
					found = append(found, fault{one.Segment.Data.Name, "was already damaged on the server and is not in this backup"})
				}
			}
		}
		return f.verdict(found, fmt.Sprintf("backup of %s: %s, %s, all unchanged since they were copied",
			x.TakenAt.Format(time.RFC3339), plural.Count(len(x.Files), "file"), sizeText(x.Bytes())))
	}
	return cmd
}

// newBackupExtractCommand returns `eye backup extract`.
func newBackupExtractCommand(f *clientFlags) *cobra.Command {
	cmd := &cobra.Command{
		Use: "extract DIR NAME FILE", Short: "Copy one file, such as metadata.json, out of a backup", Args: args(cobra.ExactArgs(3)),
		Long: "Copy one file of the finished backup in DIR: NAME, such as MANIFEST.json, metadata.json or tombstones, to FILE, which must not exist.\n" +
			"The checksum is verified. DIR/files may hold other files of that name, left by an interrupted backup.",
	}
	cmd.RunE = func(_ *cobra.Command, got []string) error {
		x, err := backup.Extract(got[0], got[1], got[2])
		if err != nil {
			return adviseIndex(got[0], err)
		}
		return f.printf("copied %s of the backup of %s to %s", got[1], x.TakenAt.Format(time.RFC3339), got[2])
	}
	return cmd
}
