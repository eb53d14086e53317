package httpapi_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"theeye/internal/backup"
	"theeye/internal/event"
	"theeye/internal/httpapi/apitest"
	"theeye/internal/query"
	"theeye/internal/registry"
	"theeye/internal/store"
)

// endless is a store whose exports run until they are ended, and whose lists never return.
type endless struct {
	store.Reader
	began, ended chan struct{}
}

func (x *endless) Export(_ context.Context, _ query.Query, each func(*event.Event) error) error {
	defer func() { x.ended <- struct{}{} }()
	for {
		if err := apitest.Each(100, each); err != nil {
			return err
		}
	}
}

func (x *endless) Events(ctx context.Context, _ query.Query) (store.Page[event.Event], error) {
	x.began <- struct{}{}
	<-ctx.Done()
	return store.Page[event.Event]{}, ctx.Err()
}

// slow sends a request and reads only the header of the response.
func slow(a *apitest.API, key, path string) (answer *http.Response) {
	a.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(a.URL, "http://"))
	if err != nil {
		a.Fatal(err)
	}
	a.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: eye\r\nAuthorization: Bearer %s\r\n\r\n", path, key)
	if answer, err = http.ReadResponse(bufio.NewReaderSize(c, 16), nil); err != nil {
		a.Fatal(err)
	}
	if answer.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(answer.Body)
		a.Fatalf("GET %s: %d %s", path, answer.StatusCode, body)
	}
	return answer
}

// torn reads the rest of an answer, which must be incomplete.
func torn(t *testing.T, answer *http.Response) {
	t.Helper()
	if n, err := io.Copy(io.Discard, answer.Body); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the answer is not torn after %d bytes more: %v", n, err)
	}
}

// soon waits for what normally happens within a second.
func soon(t *testing.T, what string, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(time.Minute):
		t.Fatalf("%s does not come to its end", what)
	}
}

// An answer ends with the key of its request, even while the caller reads nothing.
func TestAnswersEndWithTheirKey(t *testing.T) {
	x := &endless{began: make(chan struct{}, 1), ended: make(chan struct{}, 1)}
	var keys *registry.Registry
	a := apitest.Start(t, func(o *apitest.Parts) {
		keys, x.Reader, o.Reader = o.Registry, o.Reader, x
	})
	ctx := t.Context()
	key := func(app string, kind registry.Kind, rules registry.Restrictions) (id, secret string) {
		t.Helper()
		k, secret, err := keys.CreateRestrictedKey(ctx, app, kind, rules)
		if err != nil {
			t.Fatal(err)
		}
		return k.ID, secret
	}
	for _, c := range []struct {
		name string
		ends func() (secret string, end func() error)
	}{
		{"revoked", func() (string, func() error) {
			id, secret := key("shop", registry.Read, registry.Restrictions{})
			return secret, func() error { return keys.RevokeKey(ctx, "shop", id) }
		}},
		{"an admin key revoked", func() (string, func() error) {
			id, secret := key("", registry.Admin, registry.Restrictions{})
			return secret, func() error { return keys.RevokeKey(ctx, "", id) }
		}},
		{"expired", func() (string, func() error) {
			at := time.Now().Add(5 * time.Second)
			_, secret := key("shop", registry.Read, registry.Restrictions{ExpiresAt: &at})
			return secret, func() error { return nil }
		}},
		{"its application deleted", func() (string, func() error) {
			app, err := keys.CreateApp(ctx, "brief", registry.Settings{})
			if err != nil {
				t.Fatal(err)
			}
			_, secret := key("brief", registry.Read, registry.Restrictions{})
			return secret, func() error { return keys.DeleteApp(ctx, app) }
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			secret, end := c.ends()
			a := *a
			a.T = t
			answer := slow(&a, secret, "/v1/export")
			listed := make(chan int, 1)
			go func() {
				r, _ := http.NewRequestWithContext(ctx, http.MethodGet, a.URL+"/v1/events", nil)
				r.Header.Set("Authorization", "Bearer "+secret)
				if answer, err := http.DefaultClient.Do(r); err == nil {
					listed <- answer.StatusCode
					_ = answer.Body.Close()
				}
				close(listed)
			}()
			soon(t, "the beginning of a list", x.began)
			select {
			case <-x.ended:
				t.Fatal("the export ended before its key")
			default:
			}
			if err := end(); err != nil {
				t.Fatal(err)
			}
			soon(t, "an export", x.ended)
			torn(t, answer)
			if status := <-listed; status != http.StatusUnauthorized {
				t.Errorf("a list that had not begun is answered %d", status)
			}
		})
	}
}

// A file of a backup is sent only as long as the key is valid.
func TestBackupEndsWithItsKey(t *testing.T) {
	var keys *registry.Registry
	a := apitest.Start(t, func(o *apitest.Parts) {
		keys = o.Registry
		leaser, ok := o.Reader.(store.Leaser)
		if !ok {
			t.Fatal("the store has no leases")
		}
		o.Backup = backup.NewSource(backup.Options{
			Store: leaser, Queue: o.Queue, Metadata: keys.Document, Tombstones: filepath.Join(t.TempDir(), "none"),
			Flush: func(context.Context, func(string)) error { return nil }, // a.Flush has done it
		})
		ctx, cancel := context.WithCancel(t.Context())
		var ended sync.WaitGroup
		ended.Go(func() { _ = o.Backup.Run(ctx) })
		t.Cleanup(func() { cancel(); ended.Wait() })
	})
	random := rand.NewChaCha8([32]byte{})
	var events []event.Event
	for i := range 1000 {
		noise := make([]byte, 8<<10)
		_, _ = random.Read(noise)
		e := apitest.Simple(i, "shop")
		e.Data = fmt.Appendf(nil, `{"noise":"%x"}`, noise)
		events = append(events, e)
	}
	a.Write(events...)
	a.Flush()
	k, secret, err := keys.CreateKey(t.Context(), "", registry.Admin)
	if err != nil {
		t.Fatal(err)
	}
	var index backup.Index
	if err := json.Unmarshal([]byte(a.Text("", "/v1/backup/manifest")), &index); err != nil {
		t.Fatal(err)
	}
	largest := index.Files[0]
	for _, f := range index.Files {
		if f.Bytes > largest.Bytes {
			largest = f
		}
	}
	answer := slow(a, secret, "/v1/backup/files/"+largest.Name+"?lease="+index.Lease)
	if err := keys.RevokeKey(t.Context(), "", k.ID); err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(io.Discard, answer.Body)
	if err == nil || n == largest.Bytes {
		t.Errorf("all %d bytes of %d came, %v", n, largest.Bytes, err)
	}
}

// An erasure ends the running exports; they must be started again.
func TestExportsEndWithAnErasure(t *testing.T) {
	x := &endless{began: make(chan struct{}, 1), ended: make(chan struct{}, 1)}
	erased := make(chan struct{})
	a := apitest.Start(t, func(o *apitest.Parts) {
		x.Reader, o.Reader = o.Reader, x
		o.ExportsEnded = func() <-chan struct{} { return erased }
	})
	answer := slow(a, a.Keys["shop"], "/v1/export")
	close(erased)
	soon(t, "an export", x.ended)
	torn(t, answer)

	b := apitest.Start(t, func(o *apitest.Parts) {
		o.Reader = &apitest.Exporter{Reader: o.Reader, Do: func(context.Context, func(*event.Event) error) error {
			return fmt.Errorf("export: %w", store.ErrExportEnded)
		}}
	})
	early := b.Get("", "/v1/export")
	body, err := io.ReadAll(early.Body)
	if err != nil || early.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(body), "start it again") {
		t.Errorf("an export that had not begun: %d %s, %v", early.StatusCode, body, err)
	}
}
