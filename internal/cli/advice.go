package cli

import (
	"regexp"
	"strings"
)

// advisedCommand matches a command in back quotes that takes the flags of the client side. The
// command holds no back quote: one that names what others chose is made with its flags at once.
var advisedCommand = regexp.MustCompile("`eye (?:store|erase|rejections|keys|apps|types|health|books)\\b[^`]*`")

// advise completes the commands that a text advises by flags, such as "--data DIR", so that they can
// be copied as they are printed. Whoever writes such a text need not know where the server is.
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

// advisingError is an error whose advice can be copied.
type advisingError struct {
	err   error
	flags string
}

func (e *advisingError) Error() string { return advise(e.err.Error(), e.flags) }

func (e *advisingError) Unwrap() error { return e.err }

// advising makes an error an advisingError.
func advising(err error, flags string) error {
	if err == nil {
		return nil
	}
	return &advisingError{err, flags}
}

// dataFlag returns the flag that names a data directory, as a shell takes it.
func dataFlag(dir string) string { return "--data " + shellWord(dir) }

// where returns the flags by which another command reaches the same server.
func (f *clientFlags) where() string {
	if base, _ := f.named(); base != "" {
		return "--url " + shellWord(base)
	}
	return dataFlag(f.value("data", "EYE_DATA"))
}
