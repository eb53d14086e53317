package main

import (
	"bytes"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// What a server writes into its data directory for commands that are run beside it.
const (
	addressFile     = "address"         // host:port
	certificateFile = "certificate.pem" // there when the server speaks TLS
)

// announce writes where a server answers. certificate is the file that it was
// given, empty for plain HTTP. After an error there is nothing of it, nor of a
// server that was killed.
func announce(dir, address, certificate string) error {
	retract(dir)
	if certificate != "" {
		text, err := os.ReadFile(certificate)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, certificateFile), text, 0o600) //nolint:gosec // the operator names both
		}
		if err != nil {
			retract(dir)
			return fmt.Errorf("write the certificate: %w", err)
		}
	}
	temporary := filepath.Join(dir, addressFile+".tmp")
	err := os.WriteFile(temporary, []byte(address+"\n"), 0o600)
	if err == nil {
		err = os.Rename(temporary, filepath.Join(dir, addressFile))
	}
	if err != nil {
		_ = os.Remove(temporary)
		retract(dir)
		return fmt.Errorf("write the address: %w", err)
	}
	return nil
}

// retract undoes announce.
func retract(dir string) {
	_ = os.Remove(filepath.Join(dir, addressFile))
	_ = os.Remove(filepath.Join(dir, certificateFile))
}

// beside returns the address of the server of a data directory, and what trusts
// it when it speaks TLS, else nil.
func beside(dir string) (base string, trust *tls.Config, err error) {
	text, err := os.ReadFile(filepath.Join(dir, addressFile))
	if err != nil {
		return "", nil, fmt.Errorf("no server found: %s has no address file; give --url or EYE_URL, or --data of a running server", dir)
	}
	address := reachable(strings.TrimSpace(string(text)))
	trust, err = trustOnly(filepath.Join(dir, certificateFile))
	switch {
	case errors.Is(err, os.ErrNotExist):
		return "http://" + address, nil, nil
	case err != nil:
		return "", nil, err
	}
	return "https://" + address, trust, nil
}

// trustOnly trusts the server that has the certificate in a file, whatever name it
// is called by: on its own machine that is not the one in the certificate.
func trustOnly(file string) (*tls.Config, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the server's certificate: %w", err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s holds no certificate", file)
	}
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: true, //nolint:gosec // replaced by VerifyConnection, which is stricter
		VerifyConnection: func(state tls.ConnectionState) error {
			if !bytes.Equal(state.PeerCertificates[0].Raw, block.Bytes) {
				return errors.New("it has another certificate than the server of this data directory")
			}
			return nil
		},
	}, nil
}
