package event_test

import (
	"strings"
	"testing"

	"github.com/google/uuid"

	"theeye/internal/event"
)

const someID = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"

func TestParseID(t *testing.T) {
	t.Parallel()
	for _, text := range []string{someID, strings.ToUpper(someID), uuid.Nil.String(), uuid.Max.String()} {
		id, clientID := event.ParseID("shop", text)
		if id.String() != strings.ToLower(text) || clientID != "" {
			t.Errorf("%s: got %s with client id %q", text, id, clientID)
		}
	}
	bare := strings.ReplaceAll(someID, "-", "")
	for _, text := range []string{
		"order-17", "", " ", bare, "{" + someID + "}", "urn:uuid:" + someID, someID + " ", " " + someID, someID[1:],
		strings.Repeat("x", 36), strings.ReplaceAll(someID, "-", "_"), "6ba7b8109dad-11d1-80b4-00c04fd430c8-", "日本",
	} {
		if id, ok := event.ParseUUID(text); ok || id != uuid.Nil {
			t.Errorf("%q is not a UUID, got %s, %v", text, id, ok)
		}
		id, clientID := event.ParseID("shop", text)
		if clientID != text || id != event.DeriveID("shop", text) || id.Version() != 5 {
			t.Errorf("%q: got %s with client id %q", text, id, clientID)
		}
		if other, _ := event.ParseID("blog", text); other == id {
			t.Errorf("%q has the same id in two applications", text)
		}
	}
}

// These ids are stored: if they changed, events that are sent again would be stored twice.
func TestDerivedIDsStay(t *testing.T) {
	t.Parallel()
	for want, got := range map[string]uuid.UUID{
		"84f7a377-654b-558a-81af-2142402d8346": event.DeriveID("shop", "order-17"),
		"529dd72c-cc0f-5f3d-b8ea-61b4391ab991": event.DeriveID("shop"),
		"733ee4fa-5104-5a98-9e05-9659984e802f": first(event.ParseOriginID("shop", "order-17")),
		"593761e0-3367-57c7-8894-1e8877d0bc83": event.IdempotentID("shop", "key", 3),
		"d385e283-3589-5373-9723-9f46d54a4c2c": event.OriginIdempotentID("shop", "key", 3),
		"71896a4c-af0f-58d4-b6b0-a92c03e6f80c": event.RejectionID("shop", uuid.MustParse(someID), []byte("{\xff")),
	} {
		if got.String() != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func first(id uuid.UUID, _ string) uuid.UUID { return id }

// A page and a server never name the same event, except by a UUID.
func TestOriginIDs(t *testing.T) {
	t.Parallel()
	if id, clientID := event.ParseOriginID("shop", strings.ToUpper(someID)); id.String() != someID || clientID != "" {
		t.Errorf("a UUID: got %s with client id %q", id, clientID)
	}
	texts := []string{"order-17", "origin", "idempotency key", "key", "0", "日本", someID[1:]}
	seen := map[uuid.UUID]string{}
	for _, text := range texts {
		id, clientID := event.ParseOriginID("shop", text)
		server, _ := event.ParseID("shop", text)
		if clientID != text {
			t.Errorf("%q: client id %q", text, clientID)
		}
		if former := event.FormerID("shop", id, text); former != server {
			t.Errorf("%q: its former id is %s, want %s", text, former, server)
		}
		if former := event.FormerID("shop", server, text); former != uuid.Nil {
			t.Errorf("%q: what a server sent has the former id %s", text, former)
		}
		for kind, id := range map[string]uuid.UUID{
			"page": id, "server": server, "page's key": event.OriginIdempotentID("shop", text, 0), "server's key": event.IdempotentID("shop", text, 0),
		} {
			if before, ok := seen[id]; ok {
				t.Errorf("%s %q has the id of %s", kind, text, before)
			}
			seen[id] = kind + " " + text
		}
	}
}

func TestDeriveIDKeepsPartsApart(t *testing.T) {
	t.Parallel()
	lists := [][]string{{}, {""}, {"", ""}, {"a"}, {"a", ""}, {"", "a"}, {"a", "b"}, {"ab"}, {"b", "a"}}
	seen := map[uuid.UUID][]string{}
	for _, parts := range lists {
		id := event.DeriveID("x", parts...)
		if before, ok := seen[id]; ok {
			t.Errorf("%q and %q have one id", before, parts)
		}
		seen[id] = parts
		if id != event.DeriveID("x", parts...) {
			t.Errorf("%q has two ids", parts)
		}
	}
	if event.DeriveID("x", "a") == event.DeriveID("xa") {
		t.Error("application and part run together")
	}
}

func TestNewID(t *testing.T) {
	t.Parallel()
	a, b := event.NewID(), event.NewID()
	if a == b || a.Version() != 7 || strings.Compare(a.String(), b.String()) > 0 {
		t.Errorf("got %s, then %s", a, b)
	}
}
