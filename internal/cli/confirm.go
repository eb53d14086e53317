package cli

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// confirmFlags are the flags of commands that erase.
type confirmFlags struct {
	*clientFlags
	yes, dryRun bool
}

func newConfirmFlags(cmd *cobra.Command, f *clientFlags) *confirmFlags {
	c := &confirmFlags{clientFlags: f}
	cmd.Flags().BoolVar(&c.yes, "yes", false, "do not ask; required when standard input is not a terminal")
	cmd.Flags().BoolVar(&c.dryRun, "dry-run", false, "only show what would be erased")
	return c
}

// erasable counts what would be erased in one application.
type erasable struct {
	App            string `json:"app"`
	Events         int64  `json:"events"`
	Rejections     int64  `json:"rejections"`
	MoreRejections bool   `json:"more_rejections,omitzero"` // than were counted
}

// confirm shows what would be erased and reports whether the person at the terminal agrees. A dry
// run only shows it.
func (f *confirmFlags) confirm(ctx context.Context, question string, all []erasable) (bool, error) {
	if f.dryRun && f.json {
		b, err := json.Marshal(map[string]any{"dry_run": true, "apps": all}, json.Deterministic(true))
		if err != nil {
			return false, fmt.Errorf("print what would be erased: %w", err)
		}
		return false, printDocument(f.clientFlags, b)
	}
	if len(all) > 0 {
		t := newTable(f.promptOutput(), "APP", "EVENTS", "REJECTIONS")
		for _, a := range all {
			more := ""
			if a.MoreRejections {
				more = " or more"
			}
			t.row(a.App, strconv.FormatInt(a.Events, 10), strconv.FormatInt(a.Rejections, 10)+more)
		}
		if err := t.flush(); err != nil {
			return false, err
		}
	}
	switch {
	case f.dryRun:
		return false, f.printf("nothing was erased")
	case !isInteractive(f.in):
		return false, usagef("nothing was erased: standard input is not a terminal, so nobody can be asked; add --yes to erase, or --dry-run to see what would be erased")
	case !f.ask(ctx, question+" This cannot be undone. [y/N] "):
		return false, usagef("nothing was erased; answer y, or add --yes")
	}
	return true, nil
}

// promptOutput returns the stream that shows what would be erased.
func (f *confirmFlags) promptOutput() io.Writer {
	if f.dryRun {
		return f.out
	}
	return f.err
}

// note shows a line to the person who confirms.
func (f *confirmFlags) note(text string) {
	if !f.json {
		_, _ = fmt.Fprintln(f.promptOutput(), text)
	}
}

// isInteractive reports whether a person can answer.
func isInteractive(in io.Reader) bool {
	file, ok := in.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// ask asks a question and reports whether the answer is yes. When ctx is done, the answer is no.
func (f *clientFlags) ask(ctx context.Context, question string) bool {
	_, _ = fmt.Fprint(f.err, question)
	in := newInterruptibleReader(ctx, f.in)
	defer in.Close()
	answer, err := bufio.NewReader(in).ReadString('\n')
	if err != nil {
		_, _ = fmt.Fprintln(f.err) // end the line of the question
	}
	answer = strings.ToLower(strings.TrimSpace(answer))
	return answer == "y" || answer == "yes"
}
