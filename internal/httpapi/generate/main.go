// Command generate writes the OpenAPI document to the named file.
package main

import (
	"fmt"
	"os"

	"theeye/internal/httpapi/openapi"
)

func main() {
	document, err := openapi.Document(true).YAML()
	if err == nil {
		err = os.WriteFile(os.Args[1], document, 0o644) //nolint:gosec // a public document
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}
