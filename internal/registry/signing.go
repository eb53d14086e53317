package registry

import (
	"crypto/hmac"
	"crypto/sha256"
)

// SigningKey returns the bytes with which the requests of a key are signed. They
// follow from its secret, which each request carries, so that a server can check
// a signature and still keeps nothing that could make one.
func SigningKey(secret string) []byte {
	mac := hmac.New(sha256.New, []byte(secret))
	_, _ = mac.Write([]byte("theeye signing")) // never fails
	return mac.Sum(nil)
}
