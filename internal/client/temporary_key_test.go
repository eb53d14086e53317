package client

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A temporary key expires, and is replaced before that.
func TestTemporaryKeys(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var made []Key
		var revoked []string
		c := &Client{base: "http://eye", key: "eye_a_x", http: &http.Client{Transport: roundTrip(func(r *http.Request) string {
			if r.Method == http.MethodDelete {
				revoked = append(revoked, r.URL.Path)
				return ""
			}
			var k Key
			body, _ := io.ReadAll(r.Body)
			if err := Decode("request", body, &k); err != nil || r.Header.Get("Authorization") != "Bearer eye_a_x" {
				t.Error(err, r.Header)
			}
			made = append(made, k)
			return `{"key_id":"k` + string('0'+rune(len(made))) + `","key":"eye_w_` + string('0'+rune(len(made))) + `"}`
		})}}
		revoke, err := c.UseTemporaryWriteKey(t.Context(), "shop")
		if err != nil {
			t.Fatal(err)
		}
		if key, err := c.Secret(t.Context()); key != "eye_w_1" || err != nil {
			t.Error(key, err)
		}
		time.Sleep(temporaryKeyLife * 3 / 4)
		if key, err := c.Secret(t.Context()); key != "eye_w_2" || err != nil {
			t.Error(key, err)
		}
		revoke()
		if len(made) != 2 || len(revoked) != 1 || revoked[0] != "/v1/apps/shop/keys/k2" {
			t.Error(made, revoked)
		}
		for _, k := range made {
			if at, err := time.Parse(time.RFC3339, *k.ExpiresAt); err != nil || k.Kind != "write" || time.Until(at) > temporaryKeyLife {
				t.Error(k, err)
			}
		}
	})
}

// A transport for other clients sends the temporary key of the moment, whatever key they know.
func TestTransportSendsTheKey(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		made := 0
		var sent []string
		c := &Client{base: "http://eye", key: "eye_a_x", http: &http.Client{Transport: roundTrip(func(r *http.Request) string {
			if r.URL.Path == EventsPath {
				sent = append(sent, r.Header.Get("Authorization"))
				return ""
			}
			made++
			return `{"key_id":"k","key":"eye_w_` + string('0'+rune(made)) + `"}`
		})}}
		if _, err := c.UseTemporaryWriteKey(t.Context(), "shop"); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.URL(EventsPath), nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", "Bearer eye_w_1")
			answer, err := c.Transport().RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			_ = answer.Body.Close()
			if r.Header.Get("Authorization") != "Bearer eye_w_1" {
				t.Error("the caller's request was changed")
			}
			time.Sleep(temporaryKeyLife * 3 / 4)
		}
		if want := []string{"Bearer eye_w_1", "Bearer eye_w_2"}; !slices.Equal(sent, want) {
			t.Errorf("sent %v, want %v", sent, want)
		}
	})
}

// roundTrip is a server that answers 200 with a body, or 204 without one.
type roundTrip func(r *http.Request) string

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) {
	body, status := f(r), http.StatusOK
	if body == "" {
		status = http.StatusNoContent
	}
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}, nil
}
