package test

import (
	"context"
	"os"
	"os/exec"
	"path"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

const nonroot = 65532 // of the image

// The image has the licenses of what is in it, and nothing that they are made from is kept out of
// the build.
func TestLicensesOfTheImage(t *testing.T) {
	t.Parallel()
	dockerfile, err := os.ReadFile("../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"script/notices /out/doc/THIRD_PARTY.txt", "cp LICENSE /out/doc/", "COPY --from=build /out/doc /usr/share/doc/eye\n",
	} {
		if !strings.Contains(string(dockerfile), want) {
			t.Errorf("the Dockerfile does not contain %q", want)
		}
	}
	ignored, err := os.ReadFile("../.dockerignore")
	if err != nil {
		t.Fatal(err)
	}
	for _, pattern := range strings.Fields(string(ignored)) {
		for _, name := range []string{"LICENSE", "script", "script/notices", "tools", "tools/notices", "tools/notices/duckdb.txt"} {
			if match, err := path.Match(pattern, name); match || err != nil {
				t.Errorf(".dockerignore excludes %s by %q (error %v)", name, pattern, err)
			}
		}
	}
}

// What Dockerfile and compose.yaml set is known, and with it the server runs for
// a user without rights and the health check finds it.
func TestEnvironmentOfTheImage(t *testing.T) {
	t.Parallel()
	dockerfile, err := os.ReadFile("../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	compose, err := os.ReadFile("../compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	_, help := runEye(t, nil, "serve", "--help")
	names := regexp.MustCompile(`EYE_[A-Z_]+`).FindAllString(string(dockerfile)+string(compose), -1)
	if len(names) < 4 {
		t.Errorf("only %q are set", names)
	}
	for _, name := range names {
		if !strings.Contains(help, "("+name+")") {
			t.Errorf("%s is set for the image, and eye serve does not know it", name)
		}
	}
	for _, want := range []string{`ENTRYPOINT ["/eye"]`, `CMD ["serve"]`, `CMD ["/eye", "health"]`, "USER 65532:65532", "--chown=65532:65532 /out/data /data", "EYE_LISTEN=0.0.0.0:8080", "EYE_DATA=/data"} {
		if !strings.Contains(string(dockerfile), want) {
			t.Errorf("the Dockerfile does not say %s, which this test tries", want)
		}
	}

	binary(t, "")
	data, err := os.MkdirTemp(binaries.dir, "data-") //nolint:usetesting // t.TempDir is for this user alone
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, data: data}
	env := append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "EYE_") }),
		"EYE_LISTEN=0.0.0.0:0", "EYE_DATA="+s.data, "EYE_ADMIN_KEY=", "EYE_LEGACY_APP=")
	run := func(ctx context.Context, args ...string) *exec.Cmd {
		cmd := exec.CommandContext(ctx, binary(t, ""), args...)
		cmd.Env = env
		cmd.Dir = "/"
		if os.Getuid() == 0 { // else it is without rights as it is
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nonroot, Gid: nonroot}}
		}
		return cmd
	}
	if os.Getuid() == 0 {
		if err := os.Chown(s.data, nonroot, nonroot); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	serve := run(ctx, "serve")
	log := newTranscript(t)
	s.output = log
	serve.Stdout, serve.Stderr = log.file, log.file
	if err := serve.Start(); err != nil {
		t.Fatal(err)
	}
	s.eventually("the health check to find the server", func() bool { return run(ctx, "health").Run() == nil })
	if err := serve.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := serve.Wait(); err != nil {
		t.Errorf("the server ended with %v:\n%s", err, s.output)
	}
	if err := run(ctx, "health").Run(); err == nil {
		t.Error("the health check finds a server that has ended")
	}
}
