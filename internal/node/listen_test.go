package node

import (
	"net"
	"testing"
)

func TestListenErrorSaysWhatToDo(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	for address, want := range map[string]string{
		taken.Addr().String(): taken.Addr().String() + " is in use by another program; choose another address with --listen (port 0 picks a free one)",
		"192.0.2.1:8080":      "cannot listen on 192.0.2.1:8080: cannot assign requested address; choose another address with --listen (port 0 picks a free one)",
	} {
		l, err := listenOn(address, "--listen")
		if err == nil {
			_ = l.Close()
			t.Fatalf("%s is listened on", address)
		}
		if err.Error() != want {
			t.Errorf("got %s\nwant %s", err, want)
		}
	}
}
