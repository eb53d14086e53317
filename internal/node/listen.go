package node

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"syscall"
	"time"

	"theeye/internal/client"
	"theeye/internal/httpapi"
)

// listen opens the listeners that the settings name. A node without listeners serves no requests.
func (n *Node) listen() (err error) {
	if n.cfg.Listen != "" {
		if n.listener, err = listenOn(n.cfg.Listen, "--listen"); err != nil {
			return err
		}
		n.listener = httpapi.NewConnections(httpapi.ConnectionOptions{
			Max: n.connections, Trusted: n.cfg.TrustedProxies, Encrypted: n.cfg.TLSCert != "", Registerer: n.metrics,
		}).Listener(n.listener)
	}
	if n.cfg.MetricsListen != "" {
		if n.metricsListener, err = listenOn(n.cfg.MetricsListen, "--metrics-listen"); err != nil {
			return err
		}
		n.metricsListener = httpapi.NewConnections(httpapi.ConnectionOptions{Max: metricsConnections}).Listener(n.metricsListener)
	}
	if n.cfg.TLSCert != "" {
		cert, err := newCertificate(n.cfg.TLSCert, n.cfg.TLSKey, n.log)
		if err != nil {
			return err
		}
		n.listener = tls.NewListener(n.listener, &tls.Config{
			GetCertificate: cert.get, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
		})
	}
	return nil
}

// baseURL returns the address of the server for a browser on this machine, or "" if the node does not
// listen.
func (n *Node) baseURL() string {
	if n.listener == nil {
		return ""
	}
	scheme := "http://"
	if n.cfg.TLSCert != "" {
		scheme = "https://"
	}
	return scheme + client.Reachable(n.listener.Addr().String())
}

func listenOn(address, flag string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		var reason syscall.Errno
		switch {
		case errors.Is(err, syscall.EADDRINUSE):
			err = fmt.Errorf("%s is in use by another program", address)
		case errors.As(err, &reason): // without the part of the text that repeats the address
			err = fmt.Errorf("cannot listen on %s: %w", address, reason)
		default:
			err = fmt.Errorf("cannot listen on %s: %w", address, err)
		}
		return nil, fmt.Errorf("%w; choose another address with %s (port 0 picks a free one)", err, flag)
	}
	return l, nil
}

// newHTTPServer returns a server with limits on what a slow or hostile client can occupy.
func newHTTPServer(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       60 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}
