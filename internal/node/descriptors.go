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
	// ownDescriptors is what a server needs besides the store and connections: for files of the
	// queue, listeners, the lock and the log.
	ownDescriptors = 24
	// Connections may take 1/connectionShare of the file descriptors.
	connectionShare = 2
	// metricsConnections limits the connections to --metrics-listen.
	metricsConnections = 8
	// minSocketConnections is the number for commands on the server's machine, which connect
	// through the socket. Other clients cannot take these.
	minSocketConnections = 32
	// The socket may have 1/socketShare of the connections, if that is more.
	socketShare = 4
	// warnDescriptors is the number of file descriptors below which a start logs a warning.
	warnDescriptors = 4096
)

// socketConnections returns how many connections the socket in the data directory serves.
func socketConnections(connections int) int {
	return max(minSocketConnections, connections/socketShare)
}

// connectionsOf returns how many connections a server may serve within its limit of file
// descriptors. It returns an error when the limit is too small for the data directory, and logs a
// warning when it is small.
func connectionsOf(cfg config.Config, limit int, log *slog.Logger) (int, error) {
	open, export, err := duckdb.Descriptors(filepath.Join(cfg.Data, "store"))
	if err != nil {
		return 0, err
	}
	need := connectionShare * (ownDescriptors + open)
	if limit < need {
		return 0, fmt.Errorf("only %d file descriptors may be open, but a server of this data directory needs at least %d (half of them for its files, half for connections): "+
			"raise the limit, for example with ulimit -n, LimitNOFILE= of systemd, or --ulimit nofile= of a container", limit, need)
	}
	connections := min(limit/connectionShare, httpapi.MaxConnections)
	if limit < max(warnDescriptors, need+connectionShare*(duckdb.MaxExports+1)*export) {
		log.Warn("few file descriptors may be open: connections, exports and merges may have to wait; raise the limit (ulimit -n)",
			"limit", limit, "connections", connections)
	}
	return connections, nil
}
