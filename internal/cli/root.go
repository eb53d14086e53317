// Package cli is the command line of The Eye: the commands, their tables, prompts and exit codes.
//
// Commands that talk to a server use package client; those for a stopped server open its files. It
// neither reads the settings of a server (package config) nor wires one (package node).
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"theeye/internal/event"
)

// Exit codes.
const (
	exitFailed   = 1
	exitUsage    = 2
	exitRejected = 3 // eye send: delivered, but some events were rejected
	exitBreaking = 3 // eye types put, apply: not compatible with the version in force
)

// stdio holds the streams that a command reads from and writes to. out and err escape control
// characters if they are terminals; see wrapTerminal.
type stdio struct {
	in       io.Reader
	out, err io.Writer
}

// Run executes one command line on the process's standard streams and returns its exit code. Output
// to a terminal is escaped; see terminal.
func Run(args []string, in io.Reader, stdout, stderr *os.File) int {
	out, errOut := wrapTerminal(stdout), wrapTerminal(stderr)
	defer finish(errOut)
	defer finish(out)
	return run(args, in, out, errOut)
}

// run executes one command line and returns its exit code. The first SIGINT, SIGTERM or SIGHUP
// cancels the command's context; a later one ends the process immediately.
func run(args []string, in io.Reader, out, errOut io.Writer) int {
	ctx, stop := interruptible(context.Background())
	defer stop()

	root := newRoot(stdio{in: in, out: out, err: errOut})
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	var usage *usageError
	if err != nil && !errors.As(err, &usage) && cmd.Flag("url") != nil { // a command that talks to a server
		err = withAdvice(err, (&clientFlags{cmd: cmd, getenv: os.Getenv}).where())
	}
	return report(err, errOut)
}

// newRoot returns the command `eye` with all its subcommands.
func newRoot(s stdio) *cobra.Command {
	root := &cobra.Command{
		Use:           "eye",
		Short:         "Collect, store and query the events of web applications",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0], args[0])
			}
			return cmd.Help()
		},
	}
	root.Version = version()
	root.SetVersionTemplate(versionLine() + "\n")
	root.SetIn(s.in)
	root.SetOut(s.out)
	root.SetErr(s.err)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		text := flagFault(cmd, err) + "; see"
		if question, ok := strings.CutSuffix(text, "?; see"); ok {
			text = question + "? See"
		}
		return usagef("%s `%s --help`", text, cmd.CommandPath())
	})

	root.AddCommand(newServeCommand(s))
	root.AddCommand(
		newSendCommand(s), newEventsCommand(s), newSessionsCommand(s), newSessionCommand(s), newCountCommand(s), newTopCommand(s), newExportCommand(s),
		newTailCommand(s), newFeedCommand(s),
		newRejectionsCommand(s), newReceiptCommand(s), newBooksCommand(s), newEraseCommand(s),
		newTypesCommand(s), newAppsCommand(s), newKeysCommand(s), newOpenCommand(s),
		newAuditCommand(s), newUnreadableCommand(s), newBackupCommand(s), newRestoreCommand(s), newStoreCommand(s),
		newHealthCommand(s), newBenchCommand(s), newVersionCommand(s),
	)
	addLibraryCommands(root)
	return root
}

// flagFault says what is wrong with a flag, in plainer words than the library's parsers.
func flagFault(cmd *cobra.Command, err error) string {
	if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok && unknown.GetSpecifiedShortnames() == "" {
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, "--"+f.Name) })
		return err.Error() + event.DidYouMean("--"+unknown.GetSpecifiedName(), names, "%s")
	}
	invalid, ok := errors.AsType[*pflag.InvalidValueError](err)
	if !ok {
		return err.Error()
	}
	kinds := map[string]string{"bool": "true or false", "duration": "a duration such as 90s, 5m or 168h", "int": "a whole number", "int64": "a whole number", "uint32": "a whole number that is not negative", "float64": "a number"}
	flag := invalid.GetFlag()
	if invalid.GetValue() == "" {
		return fmt.Sprintf("--%s is empty; give it a value or omit it", flag.Name)
	}
	kind, known := kinds[flag.Value.Type()]
	if words, ok := flag.Value.(choice); ok {
		kind, known = words.list(), true
	}
	if !known {
		return err.Error()
	}
	return fmt.Sprintf("--%s %q is not valid; use %s", flag.Name, invalid.GetValue(), kind)
}

// addLibraryCommands adds the library's own commands, `eye help` and `eye completion`, and turns
// errors in their arguments into usage errors.
func addLibraryCommands(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		switch cmd.Name() {
		case "help":
			cmd.Args = func(cmd *cobra.Command, got []string) error {
				if of, rest, err := cmd.Root().Find(got); err != nil || len(rest) > 0 {
					return unknownCommand(of, rest[0], strings.Join(got, " "))
				}
				return nil
			}
		case "completion":
			group := newGroup(cmd.Use, cmd.Short)
			cmd.Args, cmd.RunE = group.Args, group.RunE
			for _, shell := range cmd.Commands() {
				shell.Args = args(shell.Args)
			}
		}
	}
}

// unknownCommand returns the usage error for a subcommand that does not exist. written is its text
// in the command line.
func unknownCommand(cmd *cobra.Command, name, written string) error {
	var names []string
	for _, c := range cmd.Commands() {
		names = append(names, c.Name())
	}
	if question := event.DidYouMean(name, names, "%q"); question != "" {
		return usagef("unknown command %q%s", written, question)
	}
	if !cmd.HasParent() {
		return usagef("unknown command %q; `eye --help` lists the commands", written)
	}
	return usagef("unknown command %q; see `%s --help`", written, cmd.CommandPath())
}

// usageError is a fault in how the command was called.
type usageError struct{ message string }

func (e *usageError) Error() string { return e.message }

func usagef(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

// exitError ends the command with an exit code. Its faults have already been printed.
type exitError struct{ code int }

func (e *exitError) Error() string { return fmt.Sprintf("exit code %d", e.code) }

// report prints an error, one line for each fault, and returns the exit code.
func report(err error, to io.Writer) int {
	var (
		exit  *exitError
		usage *usageError
	)
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.code
	}
	for line := range strings.SplitSeq(strings.TrimSpace(err.Error()), "\n") {
		_, _ = fmt.Fprintln(to, "eye: "+line)
	}
	if errors.As(err, &usage) {
		return exitUsage
	}
	return exitFailed
}

// args turns a check of positional arguments into one that returns a usage error, which names what
// is missing or superfluous and shows the usage line.
func args(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, got []string) error {
		err := check(cmd, got)
		names, required := positionals(cmd)
		empty := slices.Index(got, "")
		if err == nil && (empty < 0 || empty >= len(names)) {
			return nil
		}
		var text string
		switch {
		case err == nil:
			text = strings.Trim(names[empty], "[]") + " is empty"
		case len(got) < required:
			verb := "is"
			if required-len(got) > 1 {
				verb = "are"
			}
			text = fmt.Sprintf("%s %s missing", strings.Join(names[len(got):required], " and "), verb)
		case len(got) > len(names):
			text = fmt.Sprintf("unexpected argument %q", got[len(names)])
		default:
			text = err.Error()
		}
		return usagef("%s; usage: `%s`", text, cmd.UseLine())
	}
}

// positionals returns the names of a command's positional arguments, and how many of them are
// required: the first ones, which have no brackets in the usage line.
func positionals(cmd *cobra.Command) (names []string, required int) {
	for _, word := range strings.Fields(cmd.Use)[1:] {
		if strings.HasPrefix(word, "--") {
			break
		}
		names = append(names, word)
		if !strings.HasPrefix(word, "[") {
			required++
		}
	}
	return names, required
}

// newGroup returns a command that only holds others.
func newGroup(use, short string) *cobra.Command {
	return &cobra.Command{
		Use:   use,
		Short: short,
		Args:  cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, got []string) error {
			if len(got) > 0 {
				return unknownCommand(cmd, got[0], got[0])
			}
			return cmd.Help()
		},
	}
}
