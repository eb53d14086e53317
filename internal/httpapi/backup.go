package httpapi

import (
	"net/http"
	"strconv"

	"theeye/internal/backup"
)

func backupRoutes() []Route {
	return []Route{
		{"GET", "/v1/backup/manifest", ForAdmin, (*Server).backupManifest, Doc{
			ID: "backupManifest", Tag: "backup", Audited: true, Summary: "What a backup consists of, under a new lease",
			Text: "All that was acknowledged is brought into segments first. While that takes longer than some seconds the answer is 503 with Retry-After; its detail says what is being done: ask again. " +
				"Until the lease ends (10 minutes after its last use, or at an erasure) the files can be fetched, in their order: segments " +
				"never change, and the queue keeps the frames behind them until a file of another kind is asked for, or until three quarters of its quota are taken: then the lease ends. " +
				"`eye backup DIR` does all of it.",
			Answers: []Answer{{200, "the files, in the order in which they are to be fetched", schemaOf[backup.Index]()}}, Errors: []int{404, 503}}},
		{"GET", "/v1/backup/files/{name}", ForAdmin, (*Server).backupFile, Doc{
			ID: "backupFile", Tag: "backup", Audited: true, Summary: "A file of a backup",
			Params: []Param{
				{Name: "name", In: "path", Text: "as the manifest lists it", Required: true},
				{Name: "lease", Text: "of the manifest; renewed by this", Required: true},
			},
			Answers: []Answer{{200, "the content, application/octet-stream", nil}}, Errors: []int{400, 404, 410, 503}}},
	}
}

func (s *Server) backups() (*backup.Source, error) {
	if s.opts.Backup == nil {
		return nil, NewProblem(http.StatusNotFound, "this server keeps its events elsewhere: back that up with its own tools")
	}
	return s.opts.Backup, nil
}

func (s *Server) backupManifest(c *Call) error {
	source, err := s.backups()
	if err != nil {
		return err
	}
	index, err := source.Take(c.ctx())
	if err != nil {
		return err
	}
	s.sums.coverLease(index.Lease, c.Principal.KeyID) // its files need no entry of their own
	c.Note("files", len(index.Files))
	c.Note("bytes", index.Bytes())
	return writeJSON(c.w, http.StatusOK, index)
}

func (s *Server) backupFile(c *Call) error {
	source, err := s.backups()
	if err != nil {
		return err
	}
	lease := c.URL.Query().Get("lease")
	if lease == "" {
		return NewProblem(http.StatusBadRequest, "give the lease of the manifest as the parameter lease")
	}
	file, err := source.Open(c.ctx(), lease, c.PathValue("name"))
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	c.w.Header().Set("Content-Type", "application/octet-stream")
	c.w.Header().Set("Content-Length", strconv.FormatInt(file.Bytes, 10))
	return file.CopyTo(c.ctx(), c.w)
}
