package cli

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"theeye/internal/client"
	"theeye/internal/httpapi/admin"
	"theeye/internal/httpapi/intake"
)

// newListFlags are the flags of a list that is no list of events.
func newListFlags(cmd *cobra.Command) *filterFlags {
	f := &filterFlags{flags: cmd.Flags(), lists: map[string]*[]string{}, texts: map[string]*string{}}
	f.addLimit()
	cmd.Flags().BoolVar(&f.all, "all", false, "fetch all pages")
	return f
}

func (f *filterFlags) text(cmd *cobra.Command, name, usage string) {
	f.texts[strings.ReplaceAll(name, "-", "_")] = cmd.Flags().String(name, "", usage)
}

// newAuditCommand returns `eye audit`.
func newAuditCommand(s stdio) *cobra.Command {
	cmd := &cobra.Command{Use: "audit", Short: "List what was administered, the last first", Args: args(cobra.NoArgs)}
	f := newClientFlags(cmd, s)
	filter := newListFlags(cmd)
	filter.text(cmd, "app", "about this `application`")
	filter.text(cmd, "act", "of this `kind`, as createApp")
	filter.text(cmd, "key-id", "by this `key`; server for what no key was used for")
	filter.text(cmd, "from", "`time` from which on (inclusive)")
	filter.text(cmd, "to", "`time` up to which (exclusive)")
	filter.text(cmd, "time-zone", timeZoneUsage)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return pages(cmd.Context(), f, filter, listing{path: client.AuditPath, show: func(body []byte) (*string, error) {
			var page admin.AuditAnswer
			if err := client.Decode(client.AuditPath, body, &page); err != nil || f.json {
				return page.NextCursor, err
			}
			t := newTable(f.out, "AT", "BY", "ACT", "OUTCOME", "APP", "REMOTE", "SUBJECT", "DETAIL")
			for _, e := range page.Entries {
				t.row(e.At, e.KeyID, e.Act, string(e.Outcome), orDash(e.App), orDash(e.Remote), words(e.Subject), words(e.Detail))
			}
			if err := t.flush(); err != nil {
				return nil, err
			}
			if page.Dropped {
				return nil, f.printf("Older entries were given up for want of room.")
			}
			return page.NextCursor, nil
		}})
	}
	return cmd
}

// words writes a map in a line.
func words[V ~string | ~[]byte](m map[string]V) string {
	parts := make([]string, 0, len(m))
	for _, name := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, name+"="+string(m[name]))
	}
	return strings.Join(parts, " ")
}

// newUnreadableCommand returns `eye unreadable`.
func newUnreadableCommand(s stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use: "unreadable", Short: "List requests to the intake that left no event and no rejection, newest first", Args: args(cobra.NoArgs),
		Long: "List requests to the intake that left no event and no rejection, newest first: those with a wrong key, from a wrong origin, over a rate.\n" +
			"What was sent with a valid key and could not be read is among the rejections. The server keeps the last 100 of each application and reason, in memory.",
	}
	f := newClientFlags(cmd, s)
	filter := newListFlags(cmd)
	filter.text(cmd, "app", "of this `application`")
	filter.text(cmd, "reason", "with this `reason`, as unknown_key")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return pages(cmd.Context(), f, filter, listing{path: client.UnreadablePath, show: func(body []byte) (*string, error) {
			var page intake.UnreadableAnswer
			if err := client.Decode(client.UnreadablePath, body, &page); err != nil || f.json {
				return page.NextCursor, err
			}
			t := newTable(f.out, "COUNT", "APP", "REASON", "LAST SEEN")
			for _, g := range page.Groups {
				t.row(strconv.FormatInt(g.Count, 10), orDash(g.App), g.Reason, g.LastSeen)
			}
			if err := t.flush(); err != nil {
				return nil, err
			}
			if err := f.printf(""); err != nil {
				return nil, err
			}
			t = newTable(f.out, "AT", "APP", "REASON", "STATUS", "REMOTE", "DETAIL")
			for _, r := range page.Requests {
				t.row(r.At, orDash(r.App), r.Reason, strconv.Itoa(r.Status), orDash(r.Remote), r.Detail)
			}
			return page.NextCursor, t.flush()
		}})
	}
	return cmd
}
