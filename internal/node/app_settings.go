package node

import (
	"slices"
	"time"

	"theeye/internal/registry"
	"theeye/internal/replay"
)

// expires reports whether any application has a retention.
func (n *Node) expires() bool {
	return slices.ContainsFunc(n.registry.Apps(), func(a registry.App) bool { return a.RetainFor(n.cfg.Retain) > 0 })
}

// retain returns how long an application's events are kept; 0 is forever.
func (n *Node) retain(app string) time.Duration {
	a, _ := n.registry.App(app)
	return a.RetainFor(n.cfg.Retain)
}

// validationOf returns the settings by which an application's events are validated now. ok is false
// when the application does not exist or does not accept events.
func (n *Node) validationOf(app string) (settings replay.App, ok bool) {
	a, ok := n.registry.App(app)
	settings = replay.App{Zone: a.Location(), RefuseUnknownTypes: a.UnknownTypes == registry.RejectUnknown}
	return settings, ok && a.ErasingSince == nil
}
