// Command eye is The Eye: the server that collects and stores the events of web
// applications, and the commands that talk to it.
//
// This is the only place that reads configuration and wires the parts together.
package main

import (
	"os"

	"theeye/internal/cli"
)

func main() { os.Exit(cli.Run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }
