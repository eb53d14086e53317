// Package ui has the files that the server gives to browsers. They are built elsewhere: the script
// by clients/js (npm run build), which checks that it is fresh (npm run fresh).
package ui

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
)

//go:embed eyejs/eye.js
var files embed.FS

// Script is the client for web pages.
type Script struct {
	Text []byte
	Hash string // names the text
}

// NewScript returns the script that was built into this program.
func NewScript() Script {
	text, err := files.ReadFile("eyejs/eye.js")
	if err != nil {
		panic(err) // the compiler has embedded it
	}
	sum := sha256.Sum256(text)
	return Script{text, hex.EncodeToString(sum[:8])}
}

// Name returns the name under which the text never changes.
func (s Script) Name() string { return "eye." + s.Hash + ".js" }
