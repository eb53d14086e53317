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
			ID: "backupManifest", Tag: "backup", Summary: "What a backup consists of, under a new lease",
			Text: "All that was acknowledged is brought into segments first. While that takes longer than some seconds the answer is 503 with Retry-After; its detail says what is being done: ask again. " +
				"Until the lease ends (10 minutes after its last use, or at an erasure) the files can be fetched, in their order: segments " +
				"never change, and the queue keeps the frames behind them until a file of another kind is asked for, or until three quarters of its quota are taken: then the lease ends. " +
				"`eye backup DIR` does all of it.",
			Answers: []httpapi.Answer{httpapi.JSON[backup.Index](200, "the files, in the order in which they are to be fetched")}, Errors: []int{404, 503}}},
		{Method: "GET", Path: "/v1/backup/files/{name}", Access: httpapi.ForAdmin, Handle: h.backupFile, Audited: true, AuditedOnce: "lease", Doc: httpapi.Doc{
			ID: "backupFile", Tag: "backup", Summary: "A file of a backup",
			Params: []httpapi.Param{
				{Name: "name", In: "path", Text: "as the manifest lists it", Required: true},
				{Name: "lease", Text: "of the manifest; renewed by this", Required: true},
			},
			Answers: []httpapi.Answer{httpapi.Plain(200, "the content, application/octet-stream")}, Errors: []int{400, 404, 410, 503}}},
	}
}

func (h *Handlers) backups() (*backup.Source, error) {
	if h.opts.Backup == nil {
		return nil, httpapi.NewProblem(http.StatusNotFound, "this server keeps its events elsewhere: back that up with its own tools")
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
