package cli

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"theeye/internal/client"
	"theeye/internal/jsonx"
)

// Event types in files: DIR/<category>/<name>.json, both percent-encoded as in a
// URL, holds the schema.

const schemaExtension = ".json"

// typeFile is an event type in a file.
type typeFile struct {
	category, name string
	path           string
	schema         jsontext.Value
}

// typeFilePath returns the file that holds the schema of a type.
func typeFilePath(dir, category, name string) string {
	return filepath.Join(dir, client.Segment(category), client.Segment(name)+schemaExtension)
}

// readTypeFiles reads all event types of a folder, sorted by category and name. Its error lists all
// faults.
func readTypeFiles(dir string) ([]typeFile, error) {
	var (
		files  []typeFile
		faults []error
		paths  = map[[2]string]string{}
	)
	if err := checkFolder(dir); err != nil {
		return nil, err
	}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && path != dir && strings.HasPrefix(entry.Name(), ".") {
			return filepath.SkipDir
		}
		if entry.IsDir() || !strings.HasSuffix(path, schemaExtension) || strings.HasPrefix(entry.Name(), ".") {
			return nil
		}
		f, err := readTypeFile(dir, path)
		if err == nil && paths[[2]string{f.category, f.name}] != "" {
			err = fmt.Errorf("%s: %s is the same event type", path, paths[[2]string{f.category, f.name}])
		}
		if err != nil {
			faults = append(faults, err)
			return nil
		}
		paths[[2]string{f.category, f.name}] = path
		files = append(files, f)
		return nil
	})
	if err := errors.Join(append(faults, err)...); err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, usagef("%s holds no event types: schemas are files <category>/<name>%s", dir, schemaExtension)
	}
	slices.SortFunc(files, func(a, b typeFile) int {
		return cmp.Or(cmp.Compare(a.category, b.category), cmp.Compare(a.name, b.name))
	})
	return files, nil
}

func readTypeFile(dir, path string) (f typeFile, err error) {
	relative, err := filepath.Rel(dir, path)
	if err != nil {
		return f, err
	}
	parts := strings.Split(filepath.ToSlash(strings.TrimSuffix(relative, schemaExtension)), "/")
	if relative == "." {
		return f, usagef("%s is not a folder; schemas are files DIR/<category>/<name>%s", path, schemaExtension)
	}
	if len(parts) != 2 {
		return f, usagef("%s: schemas are files <category>/<name>%s", path, schemaExtension)
	}
	f.path = path
	if f.category, err = url.PathUnescape(parts[0]); err == nil {
		f.name, err = url.PathUnescape(parts[1])
	}
	if err != nil {
		return f, usagef("%s: its name is not percent-encoded as in a URL: %s", path, err)
	}
	f.schema, err = os.ReadFile(path)
	if err == nil {
		err = checkText(path, f.schema)
	}
	f.schema = jsonx.WithoutBOM(f.schema)
	return f, err
}

// compareTypes groups types by where they are: only in files, different in both, equal in both,
// only on the server.
func compareTypes(files []typeFile, onServer []typeItem) (added, changed, same []typeFile, missing []typeItem) {
	server := map[[2]string]typeItem{}
	for _, t := range onServer {
		server[[2]string{t.Category, t.Name}] = t
	}
	for _, f := range files {
		key := [2]string{f.category, f.name}
		t, there := server[key]
		delete(server, key)
		switch {
		case !there:
			added = append(added, f)
		case bytes.Equal(jsonx.Canonical(f.schema), jsonx.Canonical(t.Schema)):
			same = append(same, f)
		default:
			changed = append(changed, f)
		}
	}
	for _, t := range onServer {
		if _, left := server[[2]string{t.Category, t.Name}]; left {
			missing = append(missing, t)
		}
	}
	return added, changed, same, missing
}

// newTypeFilesCommands returns `eye types export`, `diff` and `apply`.
func newTypeFilesCommands(f *clientFlags) []*cobra.Command {
	layout := "The schema of a type is in DIR/<category>/<name>.json; both are percent-encoded as in a URL."
	export := &cobra.Command{
		Use: "export DIR", Short: "Write all event types to files", Args: args(cobra.ExactArgs(1)),
		Long: "Write all event types to files. " + layout + "\nOther files are not changed.",
	}
	export.RunE = func(cmd *cobra.Command, got []string) error { return f.exportTypes(cmd.Context(), got[0]) }

	diff := &cobra.Command{
		Use: "diff DIR", Short: "Show how files and the server's event types differ", Args: args(cobra.ExactArgs(1)),
		Long: "Show how files and the server's event types differ. " + layout + "\nExit code 0 if they are the same, 1 if they differ, 2 if they cannot be compared.",
	}
	diff.RunE = func(cmd *cobra.Command, got []string) error {
		alike, err := f.diffTypes(cmd.Context(), got[0])
		if err != nil {
			report(err, f.err)
			return &exitError{exitUsage}
		}
		if !alike {
			return &exitError{exitFailed}
		}
		return nil
	}

	var o applyOptions
	apply := &cobra.Command{
		Use: "apply DIR", Short: "Apply all event types in files, or none", Args: args(cobra.ExactArgs(1)),
		Long: "Apply all event types in files, or none. " + layout + "\nAll are checked first: if one is not a valid schema or is not compatible with the version in force, nothing changes.\n" +
			"Exit code 3 if the only fault is compatibility.",
	}
	apply.Flags().BoolVar(&o.force, "force", false, "apply schemas that are not compatible with the version in force, too")
	apply.Flags().BoolVar(&o.dryRun, "dry-run", false, "only show what would be done")
	apply.Flags().BoolVar(&o.remove, "delete", false, "delete event types that have no file")
	apply.RunE = func(cmd *cobra.Command, got []string) error { return f.applyTypes(cmd.Context(), got[0], o) }
	return []*cobra.Command{export, diff, apply}
}

func (f *clientFlags) exportTypes(ctx context.Context, dir string) error {
	c, err := f.client()
	if err != nil {
		return err
	}
	list, err := listTypes(ctx, c)
	if err != nil {
		return err
	}
	for _, t := range list {
		path := typeFilePath(dir, t.Category, t.Name)
		if err := t.Schema.Indent(jsontext.WithIndent("  ")); err != nil {
			return fmt.Errorf("write %s: %w", path, err)
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec,forbidigo // meant to be shared, and can be written again
			return err
		}
		if err := os.WriteFile(path, append(t.Schema, '\n'), 0o644); err != nil { //nolint:gosec // as above
			return err
		}
	}
	if f.json {
		return f.printReport(map[string]int{"written": len(list)})
	}
	return f.printf("wrote %d event types to %s", len(list), dir)
}

// typeName names an event type in a report.
type typeName struct {
	Category string `json:"category"`
	Name     string `json:"name"`
}

func namesOf(files []typeFile) []typeName {
	names := make([]typeName, len(files))
	for i, t := range files {
		names[i] = typeName{t.category, t.name}
	}
	return names
}

func (f *clientFlags) printReport(report any) error {
	b, err := json.Marshal(report)
	if err != nil {
		return err
	}
	return printDocument(f, b)
}

// typesDiff says how files and a server differ.
type typesDiff struct {
	OnlyInFiles  []typeName `json:"only_in_files"`
	Differs      []typeName `json:"differs"`
	OnlyOnServer []typeName `json:"only_on_server"`
	Alike        int        `json:"alike"`
}

// typesApplied says what an apply did, or would do.
type typesApplied struct {
	Created   []typeName `json:"created"`
	Changed   []typeName `json:"changed"`
	Deleted   []typeName `json:"deleted"`
	Unchanged int        `json:"unchanged"`
	InNoFile  int        `json:"in_no_file"`
	DryRun    bool       `json:"dry_run"`
}

func (f *clientFlags) diffTypes(ctx context.Context, dir string) (alike bool, err error) {
	files, err := readTypeFiles(dir)
	if err != nil {
		return false, err
	}
	c, err := f.client()
	if err != nil {
		return false, err
	}
	list, err := listTypes(ctx, c)
	if err != nil {
		return false, err
	}
	added, changed, same, missing := compareTypes(files, list)
	diff := typesDiff{OnlyInFiles: namesOf(added), Differs: namesOf(changed), OnlyOnServer: []typeName{}, Alike: len(same)}
	for _, t := range missing {
		diff.OnlyOnServer = append(diff.OnlyOnServer, typeName{t.Category, t.Name})
	}
	alike = len(added)+len(changed)+len(missing) == 0
	if f.json {
		return alike, f.printReport(diff)
	}
	err = errors.Join(f.typeLines("only in files", diff.OnlyInFiles), f.typeLines("differs", diff.Differs), f.typeLines("only on the server", diff.OnlyOnServer))
	if alike {
		err = errors.Join(err, f.printf("%d event types are the same", len(same)))
	}
	return alike, err
}

// typeLines prints a line for each type, or nothing with --json.
func (f *clientFlags) typeLines(what string, types []typeName) error {
	for _, t := range types {
		if f.json {
			break
		}
		if err := f.printf("%-20s%s / %s", what+":", printable(t.Category, maxCell), printable(t.Name, maxCell)); err != nil {
			return err
		}
	}
	return nil
}

type applyOptions struct{ force, dryRun, remove bool }

func (f *clientFlags) applyTypes(ctx context.Context, dir string, o applyOptions) error {
	files, err := readTypeFiles(dir)
	if err != nil {
		return err
	}
	c, err := f.client()
	if err != nil {
		return err
	}
	list, err := listTypes(ctx, c)
	if err != nil {
		return err
	}
	added, changed, same, missing := compareTypes(files, list)
	if err := f.checkTypes(ctx, c, slices.Concat(added, changed), o.force); err != nil {
		return err
	}
	a := applying{clientFlags: f, client: c, options: o, report: typesApplied{
		Created: namesOf(added), Changed: namesOf(changed), Deleted: []typeName{}, Unchanged: len(same), DryRun: o.dryRun,
	}}
	if !o.remove {
		a.report.InNoFile, missing = len(missing), nil
	}
	if err := a.put(ctx, "created", added); err != nil {
		return err
	}
	if err := a.put(ctx, "changed", changed); err != nil {
		return err
	}
	if err := a.remove(ctx, missing); err != nil {
		return err
	}
	report := a.report
	if f.json {
		return f.printReport(report)
	}
	if report.InNoFile > 0 {
		if err := f.printf("%d event types on the server have no file; --delete deletes them", report.InNoFile); err != nil {
			return err
		}
	}
	return f.printf("%d unchanged", report.Unchanged)
}

// wording returns what is done, or would be.
func wording(what string, dryRun bool) string {
	if dryRun {
		return "would be " + what
	}
	return what
}

// applying is a running apply.
type applying struct {
	*clientFlags

	client  *client.Client
	options applyOptions
	report  typesApplied
}

// put puts types that have been checked, and reports each one.
func (a *applying) put(ctx context.Context, what string, files []typeFile) error {
	for _, t := range files {
		if !a.options.dryRun {
			if _, err := a.client.Do(ctx, putRequest(t.category, t.name, t.schema, putOptions{force: a.options.force})); err != nil {
				return fmt.Errorf("%s: %w", t.path, a.explainIncompatible(err))
			}
		}
		if err := a.typeLines(wording(what, a.options.dryRun), []typeName{{t.category, t.name}}); err != nil {
			return err
		}
	}
	return nil
}

func (a *applying) remove(ctx context.Context, types []typeItem) error {
	for _, t := range types {
		if !a.options.dryRun {
			if _, err := a.client.Do(ctx, client.Request{Method: http.MethodDelete, Path: client.TypePath(t.Category, t.Name)}); err != nil {
				return err
			}
		}
		name := typeName{t.Category, t.Name}
		a.report.Deleted = append(a.report.Deleted, name)
		if err := a.typeLines(wording("deleted", a.options.dryRun), []typeName{name}); err != nil {
			return err
		}
	}
	return nil
}

// checkTypes has the server check all schemas, and prints the faults.
func (f *clientFlags) checkTypes(ctx context.Context, c *client.Client, files []typeFile, force bool) error {
	refused, unusable := false, false
	for _, t := range files {
		r := putRequest(t.category, t.name, t.schema, putOptions{force: force, dryRun: true})
		body, err := c.Do(ctx, r)
		var p *client.Problem
		switch {
		case err == nil:
			var tried typeItem
			if err := client.Decode(r.Path, body, &tried); err != nil {
				return err
			}
			f.warn(t.path+": ", tried.Warnings)
		case errors.As(err, &p) && len(p.Reasons) > 0:
			refused = true
			_, _ = fmt.Fprintf(f.err, "eye: %s: not compatible with the version in force:\n", t.path)
			for _, r := range p.Reasons {
				_, _ = fmt.Fprintln(f.err, "  "+reasonLine(r))
			}
		case errors.As(err, &p) && p.Status == http.StatusUnprocessableEntity:
			unusable = true
			_, _ = fmt.Fprintf(f.err, "eye: %s: %s\n", t.path, p.Detail)
		default:
			return err
		}
	}
	switch {
	case unusable:
		_, _ = fmt.Fprintln(f.err, "eye: nothing was changed")
		return &exitError{exitFailed}
	case refused:
		_, _ = fmt.Fprintln(f.err, "eye: nothing was changed; --force applies them anyway")
		return &exitError{exitBreaking}
	}
	return nil
}
