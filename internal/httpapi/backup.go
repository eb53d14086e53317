package httpapi

import (
	"net/http"
	"strconv"

	"theeye/internal/backup"
)

func backupRoutes() []route {
	return []route{
		{"GET", "/v1/backup/manifest", forAdmin, (*Server).backupManifest, doc{
			id: "backupManifest", tag: "backup", audited: true, summary: "What a backup consists of, under a new lease",
			text: "All that was acknowledged is brought into segments first. While that takes longer than some seconds the answer is 503 with Retry-After; its detail says what is being done: ask again. " +
				"Until the lease ends (10 minutes after its last use, or at an erasure) the files can be fetched, in their order: segments " +
				"never change, and the queue keeps the frames behind them until a file of another kind is asked for, or until three quarters of its quota are taken: then the lease ends. " +
				"`eye backup DIR` does all of it.",
			answers: []answer{{200, "the files, in the order in which they are to be fetched", schemaOf[backup.Index]()}}, errors: []int{404, 503}}},
		{"GET", "/v1/backup/files/{name}", forAdmin, (*Server).backupFile, doc{
			id: "backupFile", tag: "backup", audited: true, summary: "A file of a backup",
			params: []param{
				{name: "name", in: "path", text: "as the manifest lists it", required: true},
				{name: "lease", text: "of the manifest; renewed by this", required: true},
			},
			answers: []answer{{200, "the content, application/octet-stream", nil}}, errors: []int{400, 404, 410, 503}}},
	}
}

func (s *Server) backups() (*backup.Source, error) {
	if s.opts.Backup == nil {
		return nil, problem(http.StatusNotFound, "this server keeps its events elsewhere: back that up with its own tools")
	}
	return s.opts.Backup, nil
}

func (s *Server) backupManifest(c *call) error {
	source, err := s.backups()
	if err != nil {
		return err
	}
	index, err := source.Take(c.ctx())
	if err != nil {
		return err
	}
	s.sums.took(index.Lease, c.who.KeyID) // its files need no entry of their own
	c.note("files", len(index.Files))
	c.note("bytes", index.Bytes())
	return writeJSON(c.w, http.StatusOK, index)
}

func (s *Server) backupFile(c *call) error {
	source, err := s.backups()
	if err != nil {
		return err
	}
	lease := c.URL.Query().Get("lease")
	if lease == "" {
		return problem(http.StatusBadRequest, "give the lease of the manifest as the parameter lease")
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
