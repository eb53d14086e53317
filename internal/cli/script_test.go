package cli

import (
	"context"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"theeye/internal/wait"
)

// Bounds of waiting in a script.
const (
	scriptPoll  = 20 * time.Millisecond
	scriptLimit = time.Minute
)

// TestServer runs the sessions in testdata/script against a server that the session starts itself,
// on a port of its own and in its own directory. $EXAMPLES is the folder of examples of the
// repository.
func TestServer(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			examples, err := os.Getwd()
			env.Setenv("EXAMPLES", strings.TrimSuffix(examples, "internal/cli")+"examples")
			return err
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"eventually": eventually,
			"setfrom":    setFrom,
		},
	})
}

// eventually PATTERN PROGRAM [ARGS] runs a program repeatedly, for at most a minute, until it
// succeeds and its output matches the pattern.
func eventually(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: eventually PATTERN PROGRAM [ARGS]")
	}
	pattern := regexp.MustCompile("(?m)" + args[0])
	ctx, cancel := context.WithTimeout(context.Background(), scriptLimit)
	defer cancel()
	for {
		if err := ts.Exec(args[1], args[2:]...); err == nil && pattern.MatchString(ts.ReadFile("stdout")) {
			return
		}
		if wait.For(ctx, scriptPoll) != nil {
			ts.Fatalf("waited in vain for %s; the last time: %s%s", args[0], ts.ReadFile("stdout"), ts.ReadFile("stderr"))
		}
	}
}

// setFrom VARIABLE PATTERN sets an environment variable to the first group of
// the pattern in the standard output of the last program.
func setFrom(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: setfrom VARIABLE PATTERN")
	}
	found := regexp.MustCompile("(?m)" + args[1]).FindStringSubmatch(ts.ReadFile("stdout"))
	if len(found) < 2 {
		ts.Fatalf("%s is not in the output", args[1])
	}
	ts.Setenv(args[0], found[1])
}
