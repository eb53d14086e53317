package cli

import (
	"fmt"

	"github.com/go-json-experiment/json"
)

// fault is one thing that is wrong with a file.
type fault struct {
	File string `json:"file"`
	Text string `json:"text"`
}

// verdict prints faults, one per line, or the text sound. If there are faults, the command ends
// with exit code 1.
func (f *clientFlags) verdict(faults []fault, sound string) error {
	var exit error
	if len(faults) > 0 {
		exit = &exitError{exitFailed}
	}
	if f.json {
		b, err := json.Marshal(struct {
			Sound  bool    `json:"sound"`
			Faults []fault `json:"faults"`
		}{len(faults) == 0, faults})
		if err == nil {
			err = printDocument(f, b)
		}
		if err != nil {
			return fmt.Errorf("print faults: %w", err)
		}
		return exit
	}
	if len(faults) == 0 {
		_, err := fmt.Fprintln(f.out, sound)
		return err
	}
	for _, one := range faults {
		if _, err := fmt.Fprintln(f.out, printable(one.File+" "+advise(one.Text, f.where()), maxMessage)); err != nil {
			return err
		}
	}
	return exit
}
