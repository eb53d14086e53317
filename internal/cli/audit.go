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

// newListFlags adds the flags of a list that does not contain events.
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
	cmd := &cobra.Command{Use: "audit", Short: "List administrative actions, newest first", Args: args(cobra.NoArgs)}
	f := newClientFlags(cmd, s)
	filter := newListFlags(cmd)
	filter.text(cmd, "app", "only entries about this `application`")
	filter.text(cmd, "act", "only entries of this `kind`, such as createApp")
	filter.text(cmd, "key-id", "only entries by this `key`; server for actions without a key")
	filter.text(cmd, "from", "start `time` (inclusive)")
	filter.text(cmd, "to", "end `time` (exclusive)")
	filter.text(cmd, "time-zone", timeZoneUsage)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return pages(cmd.Context(), f, filter, listing{path: client.AuditPath, show: func(body []byte) (*string, error) {
			var page admin.AuditAnswer
			if err := client.Decode(client.AuditPath, body, &page); err != nil || f.json {
				return page.NextCursor, err
			}
			t := newTable(f.out, "AT", "BY", "ACT", "OUTCOME", "APP", "REMOTE", "SUBJECT", "DETAIL")
			for _, e := range page.Entries {
				t.row(e.At, e.KeyID, e.Act, string(e.Outcome), orDash(e.App), orDash(e.Remote), pairs(e.Subject), pairs(e.Detail))
			}
			if err := t.flush(); err != nil {
				return nil, err
			}
			if page.Dropped {
				return nil, f.printf("Older entries were dropped to make room.")
			}
			return page.NextCursor, nil
		}})
	}
	return cmd
}

// pairs writes a map as one line of name=value pairs.
func pairs[V ~string | ~[]byte](m map[string]V) string {
	parts := make([]string, 0, len(m))
	for _, name := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, name+"="+string(m[name]))
	}
	return strings.Join(parts, " ")
}

// newUnreadableCommand returns `eye unreadable`.
func newUnreadableCommand(s stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use: "unreadable", Short: "List refused requests to the intake, newest first", Args: args(cobra.NoArgs),
		Long: "List refused requests, newest first: requests to the intake that left neither an event nor a rejection, for example\nbecause the key or the origin was wrong or the rate limit was reached.\n" +
			"A body that was sent with a valid key but could not be read is a rejection instead. The server keeps the last 100\nrequests for each application and reason, in memory.",
	}
	f := newClientFlags(cmd, s)
	filter := newListFlags(cmd)
	filter.text(cmd, "app", "only requests of this `application`")
	filter.text(cmd, "reason", "only requests with this `reason`, such as unknown_key")
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
