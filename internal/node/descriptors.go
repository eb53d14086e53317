package node

import (
	"fmt"
	"log/slog"
	"path/filepath"

	"theeye/internal/config"
	"theeye/internal/httpapi"
	"theeye/internal/store/duckdb"
)

const (
	// ownDescriptors are what a server takes besides the store and its connections:
	// the queue's files, listeners, the lock, the log.
	ownDescriptors = 24
	// connectionPart is the part of all descriptors that connections may take.
	connectionPart = 2
	// metricsConnections bounds those to --metrics-listen.
	metricsConnections = 8
	// fewSocketConnections are always for commands beside the server, which strangers cannot take.
	fewSocketConnections = 32
	// socketPart is the part of all connections that may come by the socket, if that is more.
	socketPart = 4
	// fewDescriptors is a limit that is told at the start.
	fewDescriptors = 4096
)

// socketConnections returns how many connections the socket in the data directory serves.
func socketConnections(connections int) int {
	return max(fewSocketConnections, connections/socketPart)
}

// connectionsOf returns how many connections a server may serve within its limit of
// file descriptors. It is an error when the limit is too small for the data directory,
// and logged when it is small.
func connectionsOf(cfg config.Config, limit int, log *slog.Logger) (int, error) {
	open, export, err := duckdb.Descriptors(filepath.Join(cfg.Data, "store"))
	if err != nil {
		return 0, err
	}
	need := connectionPart * (ownDescriptors + open)
	if limit < need {
		return 0, fmt.Errorf("only %d file descriptors may be open, and a server of this data directory needs at least %d (half of them for its files, half for connections): "+
			"raise the limit, as with ulimit -n, LimitNOFILE= of systemd, or --ulimit nofile= of a container", limit, need)
	}
	connections := min(limit/connectionPart, httpapi.MaxConnections)
	if limit < max(fewDescriptors, need+connectionPart*duckdb.MaxExports*export) {
		log.Warn("few file descriptors may be open: connections, exports and merges may have to wait; raise the limit (ulimit -n)",
			"limit", limit, "connections", connections)
	}
	return connections, nil
}
