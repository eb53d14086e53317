// Package discovery lets commands on the same machine find the server of a data directory: by a
// file with its address, and by a Unix socket that only the server's user may connect to.
package discovery

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"theeye/internal/wait"
)

// Files that a server creates in its data directory for commands on the same machine.
const (
	addressFile = "address"
	// SocketFile is the Unix socket that serves the API to commands on this machine.
	SocketFile = "eye.sock"
)

// DialTimeout bounds the time of connecting to a server.
const DialTimeout = 5 * time.Second

const (
	maxSocketPath = 103                   // bytes of a socket's path that every system accepts
	backlogPause  = 10 * time.Millisecond // between two tries to connect while the backlog is full
)

// Announce writes the address at which a server answers. After an error, no address file is left,
// not even that of a server that was killed.
//
// Do not send secrets to that address: the file survives when the server is killed, and any program
// may then have the port.
func Announce(dir, address string) error {
	_ = os.Remove(filepath.Join(dir, addressFile))
	_ = os.Remove(filepath.Join(dir, "certificate.pem")) // an earlier program wrote it for clients that called the address
	temporary := filepath.Join(dir, addressFile+".tmp")
	err := os.WriteFile(temporary, []byte(address+"\n"), 0o600)
	if err == nil {
		err = os.Rename(temporary, filepath.Join(dir, addressFile)) //nolint:forbidigo // the next start writes it again
	}
	if err != nil {
		_ = os.Remove(temporary)
		return fmt.Errorf("write the address: %w", err)
	}
	return nil
}

// Retract removes the address file and the socket.
func Retract(dir string) {
	_ = os.Remove(filepath.Join(dir, addressFile))
	if name := filepath.Join(dir, SocketFile); IsSocket(name) {
		_ = os.Remove(name)
	}
}

// IsSocket reports whether a file is a Unix socket.
func IsSocket(name string) bool {
	info, err := os.Lstat(name)
	return err == nil && info.Mode().Type() == fs.ModeSocket
}

// Listen opens the socket of a data directory, to which only the user of this process may connect.
// The caller must hold the directory's lock: an existing socket was then left by a server that was
// killed, and is replaced.
func Listen(ctx context.Context, dir string) (net.Listener, error) {
	name := filepath.Join(dir, SocketFile)
	if IsSocket(name) {
		if err := os.Remove(name); err != nil {
			return nil, fmt.Errorf("remove the socket of an earlier server: %w", err)
		}
	}
	path, release, err := socketPath(dir)
	if err != nil {
		return nil, err
	}
	defer release()
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		// On Linux, the file is created with the mode of the descriptor, so that it never has
		// another one. Elsewhere this may fail, and Chmod below sets the mode.
		return c.Control(func(fd uintptr) { _ = syscall.Fchmod(int(fd), 0o600) })
	}}
	l, err := config.Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", name, err)
	}
	if unix, ok := l.(*net.UnixListener); ok {
		unix.SetUnlinkOnClose(false) // Retract removes it: this path may refer to a descriptor
	}
	if err := os.Chmod(name, 0o600); err != nil {
		_ = l.Close()
		_ = os.Remove(name)
		return nil, fmt.Errorf("protect the socket: %w", err)
	}
	return l, nil
}

// socketPath returns a path of the socket in a directory that is short enough for a socket address.
// It is valid until release is called.
func socketPath(dir string) (path string, release func(), err error) {
	path = filepath.Join(dir, SocketFile)
	if len(path) <= maxSocketPath {
		return path, func() {}, nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return "", nil, err
	}
	short := fmt.Sprintf("/proc/self/fd/%d", d.Fd())
	if _, err := os.Stat(short); err != nil {
		_ = d.Close()
		return "", nil, fmt.Errorf("%s is longer than the %d bytes that a socket's path may have", path, maxSocketPath)
	}
	return filepath.Join(short, SocketFile), func() { _ = d.Close() }, nil
}

// Dial connects to the server of a data directory. The error says what to do.
func Dial(ctx context.Context, dir string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, DialTimeout)
	defer cancel()
	path, release, err := socketPath(dir)
	if err != nil {
		return nil, advised(dir, err)
	}
	defer release()
	for {
		conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
		if !errors.Is(err, syscall.EAGAIN) || wait.For(ctx, backlogPause) != nil {
			return conn, advised(dir, err)
		}
	}
}

// advised explains an error of connecting to the socket, and what to do.
func advised(dir string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("no server is running on %s, or it could not create its socket (its log says so): start one, or give --url and --key", dir)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("this user may not use %s: %w; run the command as the server's user, or give --url and --key", filepath.Join(dir, SocketFile), err)
	}
	return fmt.Errorf("%w; give --url and --key", err)
}
