package httpapi

import (
	"net/http"
	"strings"

	"theeye/internal/ui"
)

// pagePolicy lets the page load and call only this server. It has neither inline scripts nor inline
// styles, so it needs no nonce.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// pageAddresses are the addresses of the page's screens.
func pageAddresses() []string {
	return []string{
		"/", "/signin", "/overview", "/live", "/sessions", "/sessions/{id}", "/events", "/rejections", "/rejections/{id}",
		"/types", "/types/{category}/{name}", "/find", "/apps", "/audit", "/unreadable",
	}
}

// pageRoutes serves the same document at every address of the page, so that each can be opened,
// reloaded and shared. The document finds out by itself who looks at it. It never depends on the
// request, so it needs no key and looks at no cookie.
func pageRoutes() []Route {
	page := ui.NewPage()
	shell := func(c *Call) error {
		isolate(c.w.Header())
		return c.sendFile("index.html", revalidate, page.Shell)
	}
	var routes []Route
	for _, address := range pageAddresses() {
		doc := Doc{Hidden: true}
		if address == "/" {
			doc = Doc{
				ID: "page", Tag: "operation", Summary: "The web page",
				Text:    "The same document is served at each address of the page, such as /overview and /sessions/{id}. It uses this API, with the cookie of a login.",
				Answers: []Answer{Plain(200, "HTML"), Plain(304, "the document has the ETag of If-None-Match")},
			}
		}
		routes = append(routes, Route{Method: http.MethodGet, Path: address, Access: Open, Handle: shell, Doc: doc})
	}
	for name, file := range page.Assets {
		routes = append(routes, Route{Method: http.MethodGet, Path: "/" + name, Access: Open, Doc: Doc{Hidden: true}, Handle: func(c *Call) error {
			isolate(c.w.Header())
			return c.sendFile(name, unchanging, file)
		}})
	}
	return append(routes, docsRoute(page.Docs))
}

// docsRoute serves the description of the API as a web page, with requests that can be tried. Its
// policy is that of the page, except that the library that shows the document sets styles.
func docsRoute(docs ui.File) Route {
	policy := strings.Replace(pagePolicy, "style-src 'self'", "style-src 'self' 'unsafe-inline'", 1)
	return Route{
		Method: http.MethodGet, Path: "/docs", Access: Open,
		Doc: Doc{ID: "docs", Tag: "operation", Summary: "This document as a web page, where requests can be tried", Answers: []Answer{Plain(200, "HTML"), Plain(304, "the document has the ETag of If-None-Match")}},
		Handle: func(c *Call) error {
			isolate(c.w.Header())
			c.w.Header().Set("Content-Security-Policy", policy)
			return c.sendFile("docs.html", revalidate, docs)
		},
	}
}

// isolate keeps pages of other origins from reading the page, embedding it, or keeping a reference
// to its window.
func isolate(h http.Header) {
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
}
