package registry_test

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"theeye/internal/registry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// node is a server over a folder, with a client that finds the server's successor after a restart.
type node struct {
	t      testing.TB
	dir    string
	server atomic.Pointer[server.Server]
	conn   *nats.Conn
	js     jetstream.JetStream
	lax    bool // the server syncs nothing before it answers
}

// InProcessConn makes a node the provider of its client's connections.
func (n *node) InProcessConn() (net.Conn, error) {
	ns := n.server.Load()
	if ns == nil || !ns.Running() {
		return nil, errors.New("no server")
	}
	return ns.InProcessConn()
}

func (n *node) start() {
	n.t.Helper()
	ns, err := server.NewServer(&server.Options{
		DontListen: true, JetStream: true, StoreDir: n.dir, SyncAlways: !n.lax, NoSigs: true, NoLog: true,
		JetStreamMaxStore: 512 << 20, JetStreamMaxMemory: 16 << 20,
	})
	if err != nil {
		n.t.Fatal(err)
	}
	ns.Start()
	if !ns.ReadyForConnections(time.Minute) {
		n.t.Fatal("the server did not start")
	}
	n.server.Store(ns)
}

func (n *node) halt() {
	ns := n.server.Load()
	ns.Shutdown()
	ns.WaitForShutdown()
}

// newNode starts a server. stop may be called more than once.
func newNode(t testing.TB, dir string) (n *node, stop func()) {
	t.Helper()
	n = &node{t: t, dir: dir}
	return n, n.connect()
}

// connect starts the server of a node and its client.
func (n *node) connect() (stop func()) {
	t := n.t
	t.Helper()
	n.start()
	var err error
	n.conn, err = nats.Connect("", nats.InProcessServer(n), nats.MaxReconnects(-1), nats.ReconnectWait(10*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	if n.js, err = jetstream.New(n.conn); err != nil {
		t.Fatal(err)
	}
	stop = sync.OnceFunc(func() {
		n.conn.Close()
		n.halt()
	})
	t.Cleanup(stop)
	return stop
}

func jetStream(t testing.TB, dir string) (js jetstream.JetStream, stop func()) {
	t.Helper()
	n, stop := newNode(t, dir)
	return n.js, stop
}

func open(t testing.TB, js jetstream.JetStream, dir string) *registry.Registry {
	t.Helper()
	return openWith(t, js, registry.Options{Dir: dir})
}

func openWith(t testing.TB, js jetstream.JetStream, opts registry.Options) *registry.Registry {
	t.Helper()
	r, err := registry.Open(t.Context(), js, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	if err := r.FirstKeysShown(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r
}

func fresh(t testing.TB) *registry.Registry {
	t.Helper()
	js, _ := jetStream(t, t.TempDir())
	return open(t, js, t.TempDir())
}

func authenticate(t testing.TB, r *registry.Registry, secret string, want registry.Principal, ok bool) {
	t.Helper()
	got, gotOK := r.Authenticate(secret)
	got.KeyID = ""
	if gotOK != ok || got != want {
		t.Errorf("got %+v %v, want %+v %v", got, gotOK, want, ok)
	}
}

// within waits for what the watch brings.
func within(t testing.TB, limit time.Duration, holds func() bool) {
	t.Helper()
	deadline := time.After(limit)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-deadline:
			t.Fatalf("it did not happen within %v", limit)
		case <-tick.C:
		}
	}
}

// bucket is the metadata, as another node would write it.
func bucket(t testing.TB, js jetstream.JetStream) jetstream.KeyValue {
	t.Helper()
	kv, err := js.KeyValue(context.Background(), "EYE_METADATA")
	if err != nil {
		t.Fatal(err)
	}
	return kv
}

func read(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// savedCopy is what a data directory has of the metadata: metadata.json and its log.
func savedCopy(t testing.TB, dir string) string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "metadata*"))
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // a temporary file
			t.Fatal(err)
		}
		text.Write(b)
	}
	return text.String()
}

// appOf returns an application as it is now; one that there is not has its name alone.
func appOf(r *registry.Registry, name string) registry.App {
	a, _ := r.App(name)
	a.Name = name
	return a
}

// putType puts a schema in force, compatible or not.
func putType(ctx context.Context, r *registry.Registry, category, name string, document []byte) (v registry.TypeVersion, made bool, err error) {
	outcome, err := r.ChangeType(ctx, registry.TypeChange{Category: category, Name: name, Document: document, Force: true})
	return outcome.TypeVersion, outcome.Made, err
}
