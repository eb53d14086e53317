package admin

import (
	"net/http"
	"strconv"

	"theeye/internal/backup"
	"theeye/internal/httpapi"
)

func (h *Handlers) backupRoutes() []httpapi.Route {
	return []httpapi.Route{
		{Method: "GET", Path: "/v1/backup/manifest", Access: httpapi.ForAdmin, Handle: h.backupManifest, Audited: true, Doc: httpapi.Doc{
			ID: "backupManifest", Tag: "backup", Summary: "List the files of a backup, under a new lease",
			Text: "First, everything acknowledged is flushed into segments. If that takes longer than a few seconds, the answer is 503 with Retry-After, and its detail says what is being done: repeat the request. " +
				"Until the lease ends (10 minutes after its last use, or at an erasure), fetch the files in their order: segments never change, and the queue keeps the frames after them until a file of another kind is requested, or until three quarters of its quota are used, which ends the lease. `eye backup DIR` does all of this.",
			Answers: []httpapi.Answer{httpapi.JSON[backup.Index](200, "the files, in the order to fetch them")}, Errors: []int{404, 503}}},
		{Method: "GET", Path: "/v1/backup/files/{name}", Access: httpapi.ForAdmin, Handle: h.backupFile, Audited: true, AuditedOnce: "lease", Doc: httpapi.Doc{
			ID: "backupFile", Tag: "backup", Summary: "Get a file of a backup",
			Params: []httpapi.Param{
				{Name: "name", In: "path", Text: "a name from the manifest", Required: true},
				{Name: "lease", Text: "the lease of the manifest, which this request renews", Required: true},
			},
			Answers: []httpapi.Answer{httpapi.Plain(200, "the content, application/octet-stream")}, Errors: []int{400, 404, 410, 503}}},
	}
}

func (h *Handlers) backups() (*backup.Source, error) {
	if h.opts.Backup == nil {
		return nil, httpapi.NewProblem(http.StatusNotFound, "this server does not keep its events itself: back up the store with its own tools")
	}
	return h.opts.Backup, nil
}

func (h *Handlers) backupManifest(c *httpapi.Call) error {
	source, err := h.backups()
	if err != nil {
		return err
	}
	index, err := source.Take(c.Context())
	if err != nil {
		return err
	}
	c.TakeLease(index.Lease) // its files need no entry of their own
	c.Note("files", len(index.Files))
	c.Note("bytes", index.Bytes())
	return c.WriteJSON(http.StatusOK, index)
}

func (h *Handlers) backupFile(c *httpapi.Call) error {
	source, err := h.backups()
	if err != nil {
		return err
	}
	lease := c.URL.Query().Get("lease")
	if lease == "" {
		return httpapi.NewProblem(http.StatusBadRequest, "give the lease of the manifest as the parameter lease")
	}
	file, err := source.Open(c.Context(), lease, c.PathValue("name"))
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	c.Writer().Header().Set("Content-Type", "application/octet-stream")
	c.Writer().Header().Set("Content-Length", strconv.FormatInt(file.Bytes, 10))
	return file.CopyTo(c.Context(), c.Writer())
}
