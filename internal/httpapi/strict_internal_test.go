package httpapi

import "testing"

// settings are a body.
type settings struct {
	Rate   *int64  `json:"rate"`
	Retain *string `json:"retain"`
}

func TestNumbersThatAreNotWhole(t *testing.T) {
	for body, want := range map[string]string{
		`{"rate":7}`:     "",
		`{"rate":2.5}`:   "/rate must be a whole number, not 2.5",
		`{"rate":1.0}`:   "/rate must be a whole number, written without fraction or exponent, not 1.0",
		`{"rate":1e2}`:   "/rate must be a whole number, written without fraction or exponent, not 1e2",
		`{"rate":"7"}`:   "/rate must be a whole number, not a string",
		`{"retain":2.5}`: "/retain must be a string, not a number",

		`{"rate":99999999999999999999}`: "/rate must be a whole number of at most 18 digits, not 99999999999999999999",
	} {
		got := ""
		if err := unmarshalStrict([]byte(body), new(settings)); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: %q, want %q", body, got, want)
		}
	}
}
