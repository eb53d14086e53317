package registry_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"theeye/internal/registry"
)

// BenchmarkSize measures what metadata costs by how much there is of it: a start, the memory of it,
// one key that is made and one that is revoked, 1,000 that are made by eight at once, and making a
// bucket again from its copy.
func BenchmarkSize(b *testing.B) {
	for _, size := range []struct{ apps, keys int }{{10, 1_000}, {1_000, 1_000}, {10_000, 1_000}, {10, 100_000}, {10_000, 100_000}} {
		b.Run(fmt.Sprintf("apps=%d/keys=%d", size.apps, size.keys), func(b *testing.B) { benchSize(b, size.apps, size.keys) })
	}
}

func benchSize(b *testing.B, apps, keys int) {
	store, dir := b.TempDir(), b.TempDir()
	lax := &node{t: b, dir: store, lax: true}
	stop := lax.connect()
	fill(b, lax.js, apps, keys)
	stop()
	n, _ := newNode(b, store)
	open(b, n.js, dir).Close()
	for b.Loop() {
		before := heap()
		at := time.Now()
		r := open(b, n.js, dir)
		since(b, at, "ms-start")
		b.ReportMetric(float64(heap()-before)/(1<<20), "MB")

		at = time.Now()
		first, _, err := r.CreateKey(b.Context(), "a0", registry.Read)
		if err == nil {
			err = r.RevokeKey(b.Context(), "a0", first.ID)
		}
		if err != nil {
			b.Fatal(err)
		}
		since(b, at, "ms-first-change")
		const ops = 20
		var made []registry.Key
		at = time.Now()
		for range ops {
			k, _, err := r.CreateKey(b.Context(), "a0", registry.Read)
			if err != nil {
				b.Fatal(err)
			}
			made = append(made, k)
		}
		b.ReportMetric(float64(time.Since(at).Microseconds())/1000/ops, "ms-create")
		at = time.Now()
		for _, k := range made {
			if err := r.RevokeKey(b.Context(), "a0", k.ID); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(time.Since(at).Microseconds())/1000/ops, "ms-revoke")
		at = time.Now()
		var callers sync.WaitGroup
		for range 8 {
			callers.Go(func() {
				for range 125 {
					if _, _, err := r.CreateKey(b.Context(), "a0", registry.Read); err != nil {
						b.Error(err)
					}
				}
			})
		}
		callers.Wait()
		since(b, at, "ms-create-1000")
		at = time.Now()
		r.Close()
		since(b, at, "ms-close")

		if os.Getenv("EYE_COPY_IN") == "" && keys > 1000 {
			continue
		}
		other, stop := newNode(b, b.TempDir())
		copied := writeCopyOf(b, dir)
		at = time.Now()
		again := open(b, other.js, copied)
		since(b, at, "ms-copy-in")
		again.Close()
		stop()
	}
}

func since(b *testing.B, at time.Time, unit string) {
	b.ReportMetric(float64(time.Since(at).Milliseconds()), unit)
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func writeCopyOf(b *testing.B, dir string) (to string) {
	b.Helper()
	to = b.TempDir()
	text := read(b, filepath.Join(dir, "metadata.json"))
	if err := os.WriteFile(filepath.Join(to, "metadata.json"), []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	return to
}

// fill makes applications and keys by writing their records.
func fill(b *testing.B, js jetstream.JetStream, apps, keys int) {
	b.Helper()
	open(b, js, b.TempDir()).Close()
	hash := func(text string) string {
		sum := sha256.Sum256([]byte(text))
		return hex.EncodeToString(sum[:])
	}
	written := 0
	put := func(key, value string) {
		if _, err := js.PublishAsync("$KV.EYE_METADATA."+key, []byte(value)); err != nil {
			b.Fatal(err)
		}
		if written++; written%1000 == 0 {
			<-js.PublishAsyncComplete()
		}
	}
	for i := range apps {
		name := fmt.Sprintf("a%d", i)
		put("app."+hash(name), fmt.Sprintf(`{"app":"%s","time_zone":"UTC","unknown_types":"accept","rate":0,"retain":"","created_at":"2026-11-29T13:00:00.000000Z","app_id":"app_%013d","deleted_at":null}`, name, i))
	}
	for i := range keys {
		app := i % apps
		put("key."+hash(fmt.Sprint("secret ", i)), fmt.Sprintf(`{"key_id":"key_%013d","app":"a%d","kind":"write","created_at":"2026-11-29T13:00:00.000000Z","revoked_at":null,"app_id":"app_%013d"}`, i, app, app))
	}
	<-js.PublishAsyncComplete()
}
