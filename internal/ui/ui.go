// Package ui has the files that the server gives to browsers. They are built elsewhere: the web page
// by web, and the script for other pages by clients/js. Both folders have a command that checks that
// the files are fresh (npm run fresh).
package ui

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"path"
	"sync"
)

//go:embed eyejs/eye.js all:dist
var files embed.FS

// File is a file as browsers get it.
type File struct {
	Text []byte
	Hash string // names the text
	// Packed returns the text, compressed with gzip, or nil if that saves nothing. It compresses
	// only once, and may be called concurrently.
	Packed func() []byte
}

func newFile(text []byte) File {
	sum := sha256.Sum256(text)
	return File{text, hex.EncodeToString(sum[:8]), sync.OnceValue(func() []byte { return pack(text) })}
}

func pack(text []byte) []byte {
	var packed bytes.Buffer
	w, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err == nil {
		_, err = w.Write(text)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		panic(err) // a buffer takes everything
	}
	if packed.Len() >= len(text) {
		return nil
	}
	return packed.Bytes()
}

// Script is the client for web pages.
type Script struct{ File }

// NewScript returns the script that was built into this program.
func NewScript() Script { return Script{newFile(read("eyejs/eye.js"))} }

// Name returns the name under which the text never changes.
func (s Script) Name() string { return "eye." + s.Hash + ".js" }

// Page is the web page: one document for all its addresses, the description of the API, and the files
// that the two load.
type Page struct {
	Shell  File
	Docs   File
	Assets map[string]File // by the path below the root, such as assets/index-4d61f3a2.js; the names contain a hash of the text
}

// NewPage returns the page that was built into this program.
func NewPage() Page {
	p := Page{Shell: newFile(read("dist/index.html")), Docs: newFile(read("dist/docs.html")), Assets: map[string]File{}}
	assets, err := fs.ReadDir(files, "dist/assets")
	if err != nil {
		panic(err) // the compiler has embedded it
	}
	for _, asset := range assets {
		p.Assets[path.Join("assets", asset.Name())] = newFile(read(path.Join("dist/assets", asset.Name())))
	}
	return p
}

func read(name string) []byte {
	text, err := files.ReadFile(name)
	if err != nil {
		panic(err) // the compiler has embedded it
	}
	return text
}
