package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"theeye/internal/backup"
	"theeye/internal/plural"
	"theeye/internal/registry"
	"theeye/internal/store/duckdb"
)

// newRestoreCommand returns `eye restore`.
func newRestoreCommand(s stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use: "restore DIR --data NEW", Short: "Create a data directory from a backup", Args: args(cobra.ExactArgs(1)),
		Long: "Create a data directory from a backup; no server is needed. `eye serve --data NEW` continues from the time of the backup.\n" +
			"NEW must be empty or missing. A new admin key is created; all keys of that time stay valid.\n" +
			"Data erased since the backup comes back, unless --tombstones names the latest `tombstones` file of the data directory that\n" +
			"was backed up.",
	}
	var data, tombstones string
	cmd.Flags().Var(nonEmpty{&data}, "data", "data `directory` to create")
	printKeys := cmd.Flags().Bool("print-keys", false, "print the admin key even if standard output is not a terminal")
	cmd.Flags().Var(nonEmpty{&tombstones}, "tombstones", "tombstones `file` with the erasures since the backup")
	cmd.RunE = func(cmd *cobra.Command, got []string) error {
		if data == "" {
			return usagef("give the data directory to create with --data")
		}
		return restore(cmd.Context(), s, *printKeys || isTerminal(s.out), backup.RestoreOptions{From: got[0], To: data, Tombstones: tombstones})
	}
	return cmd
}

func restore(ctx context.Context, s stdio, printKeys bool, opts backup.RestoreOptions) error {
	x, err := backup.ReadIndex(opts.From)
	if err != nil {
		return adviseIndex(opts.From, err)
	}
	var key string
	opts.Finish = func(dir string) (err error) {
		if err := checkStore(filepath.Join(dir, "store")); err != nil {
			return err
		}
		if err := checkMetadata(dir); err != nil {
			return err
		}
		if err := duckdb.BeginTimeline(filepath.Join(dir, "store"), filepath.Join(dir, string(backup.Tombstones)), x.Last); err != nil {
			return err
		}
		note := registry.Entry{Act: "restore"}
		note.Note("taken_at", x.TakenAt)
		if err := registry.AppendAuditEntry(dir, note); err != nil {
			return fmt.Errorf("record the restore: %w", err)
		}
		key, err = registry.MakeAdminKey(dir)
		return err
	}
	bar := newBar(s.err, x.Bytes())
	opts.Progress, opts.Logger = bar, newLogger(s.err, slog.LevelWarn, dataFlag(opts.To))
	done, err := backup.Restore(ctx, opts)
	bar.close()
	if errors.Is(err, backup.ErrContent) {
		err = fmt.Errorf("%w; %s", err, repairAdvice(opts.From))
	}
	if err != nil {
		return err
	}
	erased := fmt.Sprintf("%s of %s, %d of them after the backup", plural.Count(done.Erasures, "erasure"), opts.Tombstones, done.Later)
	if done.Torn {
		erased += "\nthe last line of the file is cut off and was ignored: a crash or an incomplete copy leaves it so"
	}
	if done.Unrelated {
		erased += "\nthe backup has no erasures, so it cannot be verified that the file is from the same data directory"
	}
	if len(done.Apps) > 0 {
		erased += advise("\nthese applications were erased after the backup and are back with their keys, without their events: "+
			strings.Join(done.Apps, ", ")+"; delete them with `eye apps delete APP`", dataFlag(opts.To))
	}
	if opts.Tombstones == "" {
		erased = "ERASURES SINCE THEN ARE NOT APPLIED: data erased after the backup is back;\n" +
			"restore with --tombstones FILE to apply them"
	}
	_, err = fmt.Fprintf(s.out, "restored the backup of %s: %s, %s\n%s\n\n%s\nStart it:  eye serve --data %s\n",
		x.TakenAt.Format(time.RFC3339), plural.Count(len(x.Files), "file"), sizeText(x.Bytes()), erased, adminKeyText(key, opts.To, printKeys), shellWord(opts.To))
	return err
}

// checkMetadata returns an error if this program cannot open the restored metadata or audit log.
func checkMetadata(dir string) error {
	for name, check := range map[string]func([]byte) error{"metadata.json": registry.CheckDocument, registry.AuditFile: registry.CheckAuditFile} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) { // Verify compares the files with the index
			continue
		}
		if err == nil {
			err = check(b)
		}
		if err != nil {
			return fmt.Errorf("the backup's %s cannot be used: %w", name, err)
		}
	}
	return nil
}

// checkStore returns an error if this program cannot open the restored store.
func checkStore(dir string) error {
	m, err := duckdb.ReadManifest(dir)
	if err != nil {
		return err
	}
	for _, segment := range m.Segments {
		for _, f := range []duckdb.FileInfo{segment.Data, segment.Filter} {
			if info, err := os.Stat(filepath.Join(dir, "segments", f.Name)); err != nil || info.Size() != f.Bytes {
				return fmt.Errorf("the backup does not hold %s as named by its manifest", f.Name)
			}
		}
	}
	return nil
}
