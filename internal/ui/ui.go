// Package ui has the files that the server gives to browsers. They are built elsewhere: the script
// by clients/js (npm run build), which checks that it is fresh (npm run fresh).
package ui

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
)

//go:embed eyejs/eye.js
var files embed.FS

// Script is the client for web pages.
type Script struct {
	Text   []byte
	Packed []byte // the text, compressed with gzip
	Hash   string // names the text
}

// NewScript returns the script that was built into this program.
func NewScript() Script {
	text, err := files.ReadFile("eyejs/eye.js")
	if err != nil {
		panic(err) // the compiler has embedded it
	}
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
	sum := sha256.Sum256(text)
	return Script{text, packed.Bytes(), hex.EncodeToString(sum[:8])}
}

// Name returns the name under which the text never changes.
func (s Script) Name() string { return "eye." + s.Hash + ".js" }
