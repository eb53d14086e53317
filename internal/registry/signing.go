package registry

import (
	"crypto/hmac"
	"crypto/sha256"
)

// SigningKey returns the bytes with which the requests of a key are signed. They are derived from
// the secret of the key, which each request contains. So the server can check a signature, but
// stores nothing from which one could be made.
func SigningKey(secret string) []byte {
	mac := hmac.New(sha256.New, []byte(secret))
	_, _ = mac.Write([]byte("theeye signing")) // never fails
	return mac.Sum(nil)
}
