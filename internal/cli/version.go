package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/spf13/cobra"
)

// newVersionCommand returns `eye version`.
func newVersionCommand(s stdio) *cobra.Command {
	cmd := &cobra.Command{Use: "version", Short: "Print the version", Args: args(cobra.NoArgs)}
	asJSON := cmd.Flags().Bool("json", false, "print a JSON document")
	cmd.RunE = func(*cobra.Command, []string) error {
		if *asJSON {
			b, err := json.Marshal(versionDocument{version(), runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH})
			if err != nil {
				return fmt.Errorf("print version: %w", err)
			}
			_, err = fmt.Fprintf(s.out, "%s\n", b)
			return err
		}
		_, err := fmt.Fprintln(s.out, versionLine())
		return err
	}
	return cmd
}

// versionDocument is what `eye version --json` prints.
type versionDocument struct {
	Version  string `json:"version"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// versionLine is what `eye version` and `eye --version` print.
func versionLine() string {
	return fmt.Sprintf("eye %s %s %s/%s", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// version returns the module's version and the revision from which it was built, if the build
// recorded them.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	text := info.Main.Version
	if text == "" {
		text = "(devel)"
	}
	revision := func(s debug.BuildSetting) bool { return s.Key == "vcs.revision" }
	if i := slices.IndexFunc(info.Settings, revision); i >= 0 {
		text += " " + info.Settings[i].Value[:min(12, len(info.Settings[i].Value))]
	}
	return text
}
