package read

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"theeye/internal/httpapi"
	"theeye/internal/query"
	"theeye/internal/store"
)

// BooksAnswer says what became of everything that was received.
type BooksAnswer struct {
	Apps     []Account `json:"apps"`
	Balanced bool      `json:"balanced"`
}

// Account says what became of everything that one application sent.
type Account struct {
	App       string `json:"app"`
	Received  int64  `json:"received"`
	Stored    int64  `json:"stored"`
	Rejected  int64  `json:"rejected"`
	Duplicate int64  `json:"duplicate"`
	Erased    int64  `json:"erased"`
	Expired   int64  `json:"expired"`
	Lost      int64  `json:"lost"`
	Pending   int64  `json:"pending" doc:"acknowledged and not stored yet"`
	Balanced  bool   `json:"balanced" doc:"received is the sum of all other counts"`
}

// account returns the books, and the counts of what was acknowledged but is not in them yet.
func (h *Handlers) account(ctx context.Context, apps []string) (store.Books, map[string]int64, error) {
	for {
		b, err := h.opts.Reader.Books(ctx, apps)
		if err != nil {
			return b, nil, err
		}
		if pending, ok := h.opts.Progress.Pending(b.Position); ok {
			return b, pending, nil
		}
	}
}

func (h *Handlers) books(c *httpapi.Call) error {
	r, err := h.read(c, query.Events)
	if err != nil {
		return err
	}
	defer r.cancel()
	b, pending, err := h.account(r.ctx, r.Apps)
	if err != nil {
		return err
	}
	a := BooksAnswer{Apps: []Account{}, Balanced: true}
	add := func(x store.Account) {
		waiting := pending[x.App]
		delete(pending, x.App)
		v := Account{
			App: x.App, Received: x.Received + waiting, Stored: x.Stored, Rejected: x.Rejected, Duplicate: x.Duplicate,
			Erased: x.Erased, Expired: x.Expired, Lost: x.Lost, Pending: waiting,
		}
		v.Balanced = v.Received == v.Stored+v.Rejected+v.Duplicate+v.Erased+v.Expired+v.Lost+v.Pending
		a.Balanced = a.Balanced && v.Balanced
		a.Apps = append(a.Apps, v)
	}
	for _, x := range b.Accounts {
		add(x)
	}
	for app := range pending { // applications whose first events are not stored yet
		if r.Apps == nil || slices.Contains(r.Apps, app) {
			add(store.Account{App: app})
		}
	}
	slices.SortFunc(a.Apps, func(x, y Account) int { return strings.Compare(x.App, y.App) })
	return c.WriteJSON(http.StatusOK, a)
}

// HasEvents reports whether anything that an application sent is kept.
func (h *Handlers) HasEvents(ctx context.Context, app string) (bool, error) {
	books, pending, err := h.account(ctx, []string{app})
	if err != nil {
		return false, err
	}
	for _, account := range books.Accounts {
		if account.Stored+account.Rejected > 0 {
			return true, nil
		}
	}
	return pending[app] > 0, nil
}
