package cli

import (
	"fmt"
	"net/http"
	"os/exec"
	"runtime"

	"github.com/spf13/cobra"

	"theeye/internal/client"
)

// newOpenCommand returns `eye open`.
func newOpenCommand(s stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "open",
		Short: "Open the web page, signed in",
		Long: "Print a link that opens the web page and signs in, and open it in a browser if there is one.\n" +
			"The link is valid for 10 minutes and works once. Whoever opens it has the rights of the admin key.",
		Args: args(cobra.NoArgs),
	}
	f := newClientFlags(cmd, s)
	printOnly := cmd.Flags().Bool("print", false, "only print the link")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return f.show(cmd.Context(), client.Request{Method: http.MethodPost, Path: client.LoginLinksPath}, func(body []byte) error {
			var link struct {
				Path string  `json:"path"`
				URL  *string `json:"url"`
			}
			if err := client.Decode(client.LoginLinksPath, body, &link); err != nil {
				return err
			}
			address, err := f.pageAddress(link.Path, link.URL)
			if err != nil {
				return err
			}
			if err := f.printf("%s", address); err != nil || *printOnly {
				return err
			}
			if browser := f.browser(address); browser == nil || browser.Start() != nil {
				_, err = fmt.Fprintln(f.err, "No browser could be opened from here: open the link yourself, within 10 minutes.")
			}
			return err
		})
	}
	return cmd
}

// pageAddress returns the whole address of a path of the page: below the URL that the flags name, or
// else local, the one that the server of the data directory has given.
func (f *clientFlags) pageAddress(path string, local *string) (string, error) {
	base, _ := f.named()
	if base == "" {
		if local == nil {
			return "", fmt.Errorf("the server does not know its address; add %s to the address at which you reach it", path)
		}
		return *local, nil
	}
	c, err := client.New(base, "")
	if err != nil {
		return "", usagef("%s", err)
	}
	return c.URL(path), nil
}

// browser returns the command that opens an address in a browser, or nil if there is none.
func (f *clientFlags) browser(address string) *exec.Cmd {
	var candidates [][]string
	switch runtime.GOOS {
	case "darwin":
		candidates = [][]string{{"open"}}
	case "windows":
		candidates = [][]string{{"rundll32", "url.dll,FileProtocolHandler"}}
	default:
		if f.getenv("DISPLAY") == "" && f.getenv("WAYLAND_DISPLAY") == "" {
			return nil
		}
		candidates = [][]string{{"xdg-open"}, {"wslview"}}
	}
	for _, c := range candidates {
		if name, err := exec.LookPath(c[0]); err == nil {
			return exec.Command(name, append(c[1:], address)...) //nolint:gosec // the address is the server's
		}
	}
	return nil
}
