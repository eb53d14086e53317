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
			t.Errorf("%q is no UUID, got %s, %v", text, id, ok)
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

// These ids are part of what is stored: other values break sending again.
func TestDerivedIDsStay(t *testing.T) {
	t.Parallel()
	for want, got := range map[string]uuid.UUID{
		"84f7a377-654b-558a-81af-2142402d8346": event.DeriveID("shop", "order-17"),
		"529dd72c-cc0f-5f3d-b8ea-61b4391ab991": event.DeriveID("shop"),
		"71896a4c-af0f-58d4-b6b0-a92c03e6f80c": event.RejectionID("shop", uuid.MustParse(someID), []byte("{\xff")),
	} {
		if got.String() != want {
			t.Errorf("got %s, want %s", got, want)
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
