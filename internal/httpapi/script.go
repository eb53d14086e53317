package httpapi

import "theeye/internal/ui"

// scriptRoutes serves the client for web pages under a name that stays, and under one that names its
// content.
func scriptRoutes() []Route {
	script := ui.NewScript()
	return []Route{
		{Method: "GET", Path: "/eye.js", Access: Open, Handle: serveScript(script, "public, max-age=300"), Doc: Doc{
			ID: "script", Tag: "intake", Summary: "The client for web pages",
			Text: "A page needs one script tag, with this address as `src` and a write key that names the origin of the page as `data-key`. " +
				"The tag makes window.theeye.eye; its attributes are described in the guide to the JavaScript client. " +
				"The same script is served as /eye.HASH.js, where HASH is in the ETag: that answer never changes.",
			Answers: []Answer{Plain(200, "JavaScript"), Plain(304, "the script has the ETag of If-None-Match")}}},
		{Method: "GET", Path: "/" + script.Name(), Access: Open, Handle: serveScript(script, unchanging), Doc: Doc{Hidden: true}},
	}
}

func serveScript(script ui.Script, caching string) func(*Call) error {
	return func(c *Call) error {
		h := c.w.Header()
		// Pages of any site may load it, also with integrity= or under Cross-Origin-Embedder-Policy.
		h.Set("Access-Control-Allow-Origin", "*")
		h.Set("Cross-Origin-Resource-Policy", "cross-origin")
		return c.sendFile("eye.js", caching, script.File)
	}
}
