package cli

import (
	"errors"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// choice is the value of a flag that must be one of a few words. Another word is a usage error.
type choice struct {
	to    *string
	words []string
}

// oneOf returns the value of a flag that must be one of the words, and is empty when it is not
// given.
func oneOf(to *string, words ...string) pflag.Value { return choice{to, words} }

// String implements pflag.Value.
func (c choice) String() string {
	if c.to == nil { // pflag creates a zero value to compare with
		return ""
	}
	return *c.to
}

// Set implements pflag.Value.
func (c choice) Set(text string) error {
	if !slices.Contains(c.words, text) {
		return errors.New("use " + c.list())
	}
	*c.to = text
	return nil
}

// Type implements pflag.Value.
func (choice) Type() string { return "string" }

// nonEmpty is the value of a flag that must not be empty: when a script passes an unset variable,
// that must not have the same effect as omitting the flag.
type nonEmpty struct{ to *string }

// String implements pflag.Value.
func (f nonEmpty) String() string {
	if f.to == nil { // as in choice
		return ""
	}
	return *f.to
}

// Set implements pflag.Value.
func (f nonEmpty) Set(text string) error {
	if text == "" {
		return errors.New("is empty")
	}
	*f.to = text
	return nil
}

// Type implements pflag.Value.
func (nonEmpty) Type() string { return "string" }

// list returns the words as a text.
func (c choice) list() string {
	last := len(c.words) - 1
	return strings.Join(c.words[:last], ", ") + " or " + c.words[last]
}
