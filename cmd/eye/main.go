// Command eye is The Eye: the server that collects and stores the events of web applications, and
// the commands that talk to it.
package main

import (
	"os"

	"theeye/internal/cli"
)

// main passes the command line to package cli, which documents commands and exit codes.
func main() { os.Exit(cli.Run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }
