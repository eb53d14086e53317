package cli

import (
	"context"
	"fmt"

	"github.com/go-json-experiment/json"

	"theeye/internal/client"
)

// show sends a request and prints its answer: unchanged with --json, or else with table.
func (f *clientFlags) show(ctx context.Context, r client.Request, table func(body []byte) error) error {
	c, err := f.client()
	if err != nil {
		return err
	}
	body, err := c.Do(ctx, r)
	if err != nil {
		return err
	}
	if f.json {
		if len(body) == 0 {
			return nil
		}
		return printDocument(f, body)
	}
	return table(body)
}

// printf prints one line.
func (f *clientFlags) printf(format string, args ...any) error {
	_, err := fmt.Fprintf(f.out, format+"\n", args...)
	return err
}

// saying returns a table function that prints one line.
func (f *clientFlags) saying(format string, args ...any) func([]byte) error {
	return func([]byte) error { return f.printf(format, args...) }
}

// decodeAnyCase decodes into fields without tags, ignoring case.
func decodeAnyCase(path string, body []byte, into any) error {
	if err := json.Unmarshal(body, into, json.MatchCaseInsensitiveNames(true)); err != nil {
		return fmt.Errorf("the answer of %s cannot be read; is this The Eye? %w", path, err)
	}
	return nil
}
