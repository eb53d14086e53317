package test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
)

// cutter forwards connections to a server that may move, and cuts some of them
// at a random point: before, within or after a request or its answer.
type cutter struct {
	listener    net.Listener
	target      func() string
	cuts        atomic.Int64
	connections atomic.Int64
	wait        sync.WaitGroup
}

func newCutter(t *testing.T, target func() string) *cutter {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{listener: l, target: target}
	c.wait.Go(c.serve)
	t.Cleanup(func() {
		_ = l.Close()
		c.wait.Wait()
	})
	return c
}

func (c *cutter) serve() {
	for {
		conn, err := c.listener.Accept()
		if err != nil {
			return
		}
		c.wait.Go(func() { c.forward(conn) })
	}
}

// forward forwards a connection until one side ends or its bytes are used up.
func (c *cutter) forward(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", c.target())
	if err != nil {
		return
	}
	defer server.Close()
	left := &atomic.Int64{}
	left.Store(rand.Int64N(40_000)) // a compressed request of 200 events takes about 5 KB
	if c.connections.Add(1) <= 3 {
		left.Store(rand.Int64N(3000))
	}
	end := sync.OnceFunc(func() {
		for _, conn := range []net.Conn{client, server} {
			if tcp, ok := conn.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0) // cut, not closed: what is under way is lost
			}
			_ = conn.Close()
		}
	})
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{client, server}, {server, client}} {
		both.Go(func() {
			defer end()
			b := make([]byte, 4096)
			for {
				n, err := way[0].Read(b)
				if left.Add(-int64(n)) < 0 {
					c.cuts.Add(1)
					return
				}
				if _, wrote := way[1].Write(b[:n]); err != nil || wrote != nil {
					return
				}
			}
		})
	}
	both.Wait()
}

// Each client delivers everything once and in order through a proxy that cuts
// connections, to a server that is killed.
func TestClientsLoseNothing(t *testing.T) {
	t.Parallel()
	events, kills := fromEnv(t, "EYE_TEST_CLIENT_EVENTS", 1000), fromEnv(t, "EYE_TEST_CLIENT_KILLS", 1)
	node := func(t *testing.T) []string {
		t.Helper()
		build := exec.Command("npm", "run", "--silent", "build")
		build.Dir = "../clients/js"
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("build the client (script/setup test installs what that needs): %v\n%s", err, out)
		}
		return []string{"node", "contract/driver.mjs"}
	}
	goDriver := func(t *testing.T) []string {
		t.Helper()
		program := filepath.Join(t.TempDir(), "driver")
		build := exec.Command("go", "build", "-o", program, "./contract/driver")
		build.Dir = "../clients/go"
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("build the driver: %v\n%s", err, out)
		}
		return []string{program}
	}
	for _, client := range []struct {
		name, dir string
		command   func(*testing.T) []string
		env       func(*testing.T) string
	}{
		{"go", "../clients/go", goDriver, nil},
		{"go with a spool", "../clients/go", goDriver, func(t *testing.T) string { t.Helper(); return "EYE_SPOOL=" + t.TempDir() }},
		{"js", "../clients/js", node, nil},
		{"python", "../clients/python", func(*testing.T) []string { return []string{"python3", "contract/driver.py"} }, nil},
	} {
		t.Run(client.name, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			var address atomic.Value
			address.Store(strings.TrimPrefix(s.url, "http://"))
			proxy := newCutter(t, func() string { return address.Load().(string) })
			const sessions = 20
			command := append(client.command(t), fmt.Sprint(events), fmt.Sprint(sessions))
			driver := exec.CommandContext(t.Context(), command[0], command[1:]...)
			driver.Dir = client.dir
			driver.Env = append(os.Environ(), "EYE_URL=http://"+proxy.listener.Addr().String(), "EYE_KEY="+s.write)
			if client.env != nil {
				driver.Env = append(driver.Env, client.env(t))
			}
			var out safeBuffer
			driver.Stdout, driver.Stderr = &out, &out
			if err := driver.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- driver.Wait() }()
			var err error
			running := true
			for killed := 0; running; {
				select {
				case err = <-ended:
					running = false
				case <-time.After(time.Duration(200+rand.IntN(600)) * time.Millisecond):
					if killed < kills {
						killed++
						s.kill()
						s.launch()
						address.Store(strings.TrimPrefix(s.url, "http://"))
					}
				}
			}
			if err != nil {
				t.Fatalf("the driver: %v\n%s", err, out.String())
			}
			s.delivered(events, sessions)
			if proxy.cuts.Load() == 0 {
				t.Error("no connection was cut")
			}
		})
	}
}

// delivered compares what is stored with what a driver has tracked.
func (s *server) delivered(events, sessions int) {
	s.t.Helper()
	s.eventually("everything to be stored", func() bool { return s.call("GET", "/v1/books", s.read, "").status == 200 })
	s.must(s.call("POST", "/v1/events?wait=stored", s.write, about("last", "2021-01-01T00:00:00Z", 1)), 201)
	var all []int
	for n := range sessions {
		var got, seqs []int
		for cursor := ""; ; {
			a := s.call("GET", fmt.Sprintf("/v1/sessions/driver-%d?limit=1000%s", n, cursor), s.read, "")
			s.must(a, 200)
			var page struct {
				Events []struct {
					Seq  int `json:"seq"`
					Data struct {
						N int `json:"n"`
					} `json:"data"`
				} `json:"events"`
				Next *string `json:"next_cursor"`
			}
			if err := json.Unmarshal(a.body, &page); err != nil {
				s.t.Fatal(err)
			}
			for _, e := range page.Events {
				got, seqs = append(got, e.Data.N), append(seqs, e.Seq)
			}
			if page.Next == nil {
				break
			}
			cursor = "&cursor=" + *page.Next
		}
		for i, seq := range seqs {
			if seq != i+1 {
				s.t.Fatalf("session %d has the seqs %v", n, seqs)
			}
		}
		if !slices.IsSorted(got) {
			s.t.Errorf("session %d is not in the order of the calls: %v", n, got)
		}
		all = append(all, got...)
	}
	slices.Sort(all)
	if len(all) != events || len(slices.Compact(all)) != events {
		s.t.Errorf("%d events are stored, %d of them different, and %d were tracked", len(all), len(slices.Compact(all)), events)
	}
}
