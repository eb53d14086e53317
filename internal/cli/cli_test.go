package cli

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"theeye/internal/discovery"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"eye": func() { os.Exit(Run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }})
}

// TestCommands runs the sessions in testdata/cli against a server whose answers are in the session
// itself: a file "answers/GET /v1/apps.txt" begins with the status and holds the body. It is also
// the server of the directory eye-data of the session. Requests are added to requests.txt.
func TestCommands(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/cli",
		Setup: func(env *testscript.Env) error {
			answers := &canned{dir: env.WorkDir}
			server := httptest.NewServer(answers)
			env.Defer(server.Close)
			data := filepath.Join(env.WorkDir, "eye-data")
			if err := os.Mkdir(data, 0o700); err != nil {
				return err
			}
			socket, err := discovery.Listen(context.Background(), data)
			if err != nil {
				return err
			}
			beside := &httptest.Server{Listener: socket, Config: &http.Server{Handler: answers, ReadHeaderTimeout: time.Minute}}
			beside.Start()
			env.Defer(beside.Close)
			env.Setenv("EYE_URL", server.URL)
			env.Setenv("EYE_KEY", "eye_r_test")
			env.Setenv("ADDRESS", strings.TrimPrefix(server.URL, "http://"))
			return nil
		},
	})
}

// canned answers from the files of a session.
type canned struct{ dir string }

func (c *canned) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	line := r.Method + " " + r.URL.RequestURI()
	log, err := os.OpenFile(c.dir+"/requests.txt", os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	_, _ = io.WriteString(log, line+" "+r.Header.Get("Authorization")+"\n"+string(body)+"\n")
	_ = log.Close()

	file, err := os.ReadFile(c.dir + "/answers/" + line + ".txt")
	if err == nil {
		status, answer, _ := strings.Cut(string(file), "\n")
		code, err := strconv.Atoi(status)
		if err != nil {
			panic(err)
		}
		w.WriteHeader(code)
		_, _ = io.WriteString(w, answer)
		return
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(http.StatusNotFound)
	_, _ = io.WriteString(w, `{"title":"Not Found","status":404,"detail":"no answer for `+strings.ReplaceAll(line, `"`, "'")+`"}`)
}
