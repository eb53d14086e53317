package cli

import (
	"regexp"
	"strings"
)

// advisedCommand matches a command in back quotes that takes the flags of clientFlags. The command
// must not contain a back quote itself, so a command with a name that others chose gets its flags
// where it is built.
var advisedCommand = regexp.MustCompile("`eye (?:store|erase|rejections|keys|apps|types|health|books)\\b[^`]*`")

// advise adds flags, such as "--data DIR", to the commands that a text advises, so that they can be
// copied as they are printed. The author of the text need not know where the server is.
func advise(text, flags string) string {
	if flags == "" {
		return text
	}
	return advisedCommand.ReplaceAllStringFunc(text, func(command string) string {
		if strings.Contains(command, "--data") || strings.Contains(command, "--url") {
			return command
		}
		return command[:len(command)-1] + " " + flags + "`"
	})
}

// advisingError is an error whose text passes through advise.
type advisingError struct {
	err   error
	flags string
}

func (e *advisingError) Error() string { return advise(e.err.Error(), e.flags) }

func (e *advisingError) Unwrap() error { return e.err }

// withAdvice wraps an error in an advisingError. It returns nil for nil.
func withAdvice(err error, flags string) error {
	if err == nil {
		return nil
	}
	return &advisingError{err, flags}
}

// dataFlag returns the flag that names a data directory, as a shell takes it.
func dataFlag(dir string) string { return "--data " + shellWord(dir) }

// where returns the flags with which another command reaches the same server.
func (f *clientFlags) where() string {
	if base, _ := f.named(); base != "" {
		return "--url " + shellWord(base)
	}
	return dataFlag(f.value("data", "EYE_DATA"))
}
