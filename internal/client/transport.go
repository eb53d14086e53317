package client

import "net/http"

// Transport returns a transport to the server that adds the key to each request, and replaces a
// temporary key in time. It is for callers that make requests of their own.
func (c *Client) Transport() http.RoundTripper { return keyTransport{c} }

type keyTransport struct{ client *Client }

func (t keyTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	key, err := t.client.Secret(r.Context())
	if err != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+key)
	answer, err := t.client.http.Transport.RoundTrip(r)
	if err != nil {
		return nil, t.client.ConnectionError(r.Context(), err)
	}
	return answer, nil
}
