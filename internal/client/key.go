package client

// Key is a key as the server returns it.
type Key struct {
	KeyID         string   `json:"key_id"`
	App           *string  `json:"app"`
	Kind          string   `json:"kind"`
	Key           string   `json:"key"`            // only in the answer that creates it
	SigningSecret string   `json:"signing_secret"` // as key
	CreatedAt     string   `json:"created_at"`
	LastUsedAt    *string  `json:"last_used_at"`
	ExpiresAt     *string  `json:"expires_at"`
	RevokedAt     *string  `json:"revoked_at"`
	Origins       []string `json:"origins"`
	Signing       bool     `json:"signing"`
	Unknown       []string `json:"unknown"`
}
