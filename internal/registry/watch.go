package registry

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"theeye/internal/wait"
)

const (
	maxApply   = 1000        // records that are applied at once
	watchRetry = time.Second // between the end of a watch and the next one
	maxTries   = 100         // of a change, while other nodes change the same record

	// flushDelay is how long new records, and changes of other nodes, wait for more before
	// metadata.json is written.
	flushDelay = 100 * time.Millisecond
)

// startWatch reads all records, and then watches for changes in the background.
func (r *Registry) startWatch(ctx context.Context) error {
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	r.stop = stop
	w, err := r.watchAll(background)
	if err != nil {
		stop()
		return err
	}
	var entries []jetstream.KeyValueEntry
	for reading := true; reading; {
		select {
		case entry, ok := <-w.Updates():
			if !ok {
				err = errors.New("the watch ended")
			}
			if reading = ok && entry != nil; reading {
				entries = append(entries, entry)
			}
		case <-ctx.Done():
			err, reading = ctx.Err(), false
		}
	}
	if err != nil {
		endWatch(w)
		stop()
		return err
	}
	r.applyEntries(entries...)
	r.running.Go(func() { r.watchLoop(background, w) })
	r.running.Go(func() { r.flushLoop(background) })
	r.running.Go(func() { r.watchClock(background) })
	return nil
}

// watchAll begins a watch that ends with ctx. It bounds the wait for an answer, which the library
// does not.
func (r *Registry) watchAll(ctx context.Context) (jetstream.KeyWatcher, error) {
	ctx, giveUp := context.WithCancel(ctx)
	timer := time.AfterFunc(operationTimeout, giveUp)
	w, err := r.kv.WatchAll(ctx)
	if err != nil || !timer.Stop() {
		giveUp()
		if err == nil {
			endWatch(w)
			err = context.DeadlineExceeded
		}
		return nil, err
	}
	return watch{w, giveUp}, nil
}

// watch is a watcher that releases its context when it is stopped.
type watch struct {
	jetstream.KeyWatcher
	release context.CancelFunc
}

// Stop ends the watch.
func (w watch) Stop() error {
	defer w.release()
	return w.KeyWatcher.Stop()
}

// endWatch stops a watch and receives its remaining entries, because its goroutine would otherwise
// hang.
func endWatch(w jetstream.KeyWatcher) {
	_ = w.Stop() // fails when the connection is closed, which has stopped it
	timeout := time.After(closeTimeout)
	for {
		select {
		case _, ok := <-w.Updates():
			if !ok {
				return
			}
		case <-timeout:
			return
		}
	}
}

// watchLoop applies the entries of a watch until ctx is done. If the watch ends or its connection
// is lost, it begins a new one, which delivers everything again; only changes have an effect. (The
// library would resume the watch only after 20 seconds.)
func (r *Registry) watchLoop(ctx context.Context, w jetstream.KeyWatcher) {
	conn := r.js.Conn()
	connected := conn.StatusChanged(nats.CONNECTED)
	defer conn.RemoveStatusListener(connected)
	for {
		r.drain(ctx, w, connected)
		endWatch(w)
		for again := false; ; again = true {
			if again && wait.For(ctx, watchRetry) != nil || ctx.Err() != nil {
				return
			}
			var err error
			if w, err = r.watchAll(ctx); err == nil {
				break
			}
			if ctx.Err() != nil {
				return
			}
			r.log.Warn("metadata is not being watched; it will be retried", "error", err)
		}
	}
}

// drain applies entries, all available ones at once, until the watch ends, ctx is done or the
// client reconnects.
func (r *Registry) drain(ctx context.Context, w jetstream.KeyWatcher, connected <-chan nats.Status) {
	for {
		select {
		case <-ctx.Done():
			return
		case _, listening := <-connected:
			if listening {
				return
			}
			connected = nil // the connection is closed
		case entry, ok := <-w.Updates():
			if !ok {
				return
			}
			entries := []jetstream.KeyValueEntry{entry}
			for more := true; more && len(entries) < maxApply; {
				select {
				case entry, more = <-w.Updates():
					entries = append(entries, entry)
				default:
					more = false
				}
			}
			r.applyEntries(entries...)
		}
	}
}

// applyEntries applies entries to a new snapshot. It skips nil entries.
func (r *Registry) applyEntries(entries ...jetstream.KeyValueEntry) {
	records := make(map[string]record, len(entries))
	for _, entry := range entries {
		if entry == nil || entry.Revision() <= records[entry.Key()].revision {
			continue
		}
		next := record{entry.Value(), entry.Revision()}
		if entry.Operation() != jetstream.KeyValuePut {
			next.value = nil
		}
		records[entry.Key()] = next
	}
	r.apply(records)
}

// apply puts the records that have changed in force.
func (r *Registry) apply(records map[string]record) { r.applySaved(records, nil) }

// applySaved is apply with one record that metadata.json already has.
func (r *Registry) applySaved(records map[string]record, saved *string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.current.Load()
	maps.DeleteFunc(records, func(key string, value record) bool { return value.revision <= s.record(key).revision })
	if len(records) == 0 {
		return
	}
	next := s.copy()
	for key, value := range records {
		if err := next.set(key, value); err != nil {
			r.log.Error("a metadata record cannot be read and is ignored", "record", key, "error", err)
		}
		r.logNewer(next, key)
		if saved == nil || key != *saved {
			r.unsaved[key] = struct{}{}
		}
	}
	for _, err := range next.finish() {
		r.log.Error("metadata cannot be used", "error", err)
	}
	r.current.Store(next)
	r.endInvalid()
	if len(r.unsaved) > 0 {
		r.markDirty()
	}
}

// markUnsaved marks records whose current state is to be written to metadata.json.
func (r *Registry) markUnsaved(keys ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, key := range keys {
		r.unsaved[key] = struct{}{}
	}
}

// takeUnsaved returns the records that are to be written to metadata.json, and clears their marks.
func (r *Registry) takeUnsaved() map[string]struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	unsaved := r.unsaved
	r.unsaved = map[string]struct{}{}
	return unsaved
}

// markDirty causes metadata.json to be written soon.
func (r *Registry) markDirty() {
	select {
	case r.dirty <- struct{}{}:
	default:
	}
}

// logNewer logs the records of a newer version that this one cannot apply as intended.
func (r *Registry) logNewer(s *snapshot, key string) {
	if err := s.newer[key]; err != nil {
		r.log.Error("a metadata record is not in effect as intended, and is left unchanged", "record", key, "error", err)
	}
	rest, ok := strings.CutPrefix(key, keyRecords+".")
	var d digest
	if n, err := hex.Decode(d[:], []byte(rest)); !ok || err != nil || n != len(d) {
		return
	}
	if k := s.keys.Get(d); k != nil && len(k.Unknown) > 0 && k.RevokedAt == nil {
		r.log.Warn("a key is refused: a newer version of The Eye wrote it with unknown restrictions",
			"key_id", k.Key.ID, "app", k.App, "unknown", k.Unknown)
	}
}

// update replaces one record. decide is called with the current value (nil for none) and returns
// the new one, or nil to leave it. It is called again if another node has changed the record first.
// When update returns nil, the record is durable and in force on this node.
//
// A change of an existing record is written to metadata.json, or its log, before it is written to
// the bucket: damage to the queue's files must not undo a revocation. A new record is written there
// within flushDelay, as is the last use of keys, and can be created even while metadata.json cannot
// be written. Errors: ErrNotCopied, ErrUnavailable, those of decide.
func (r *Registry) update(ctx context.Context, key string, decide func(old []byte) (any, error)) error {
	for range maxTries {
		if done, err := r.tryUpdate(ctx, key, decide); done {
			return err
		}
		if err := r.refresh(ctx, key); err != nil {
			return err
		}
	}
	return fmt.Errorf("%w: other nodes keep changing %s", ErrUnavailable, key)
}

// tryUpdate returns false if the record has changed since decide was called.
func (r *Registry) tryUpdate(ctx context.Context, key string, decide func(old []byte) (any, error)) (done bool, err error) {
	replaces := !isLastUseRecord(key) && r.current.Load().record(key).value != nil
	if replaces {
		r.fileMu.Lock()
		defer r.fileMu.Unlock()
	}
	s := r.current.Load()
	if err := s.newer[key]; err != nil {
		return true, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	old := s.record(key)
	wanted, err := decide(old.value)
	if err != nil {
		return true, err
	}
	var value []byte
	if wanted != nil {
		if value, err = json.Marshal(wanted); err != nil {
			return true, fmt.Errorf("encode metadata: %w", err)
		}
	}
	switch {
	case replaces:
		next := map[string]fileRecord{}
		if wanted != nil {
			next[key] = fileRecord{old.revision + 1, value}
		}
		if err := r.saveLocked(next); err != nil {
			return true, fmt.Errorf("%w: %w: %w", ErrNotCopied, ErrUnavailable, err)
		}
	case old.value != nil && !isLastUseRecord(key): // another node has just created it
		return false, nil
	}
	if wanted == nil {
		return true, nil
	}
	revision, err := r.write(ctx, key, value, old)
	switch {
	case err == nil && replaces:
		r.applySaved(map[string]record{key: {value, revision}}, &key)
		return true, nil
	case err == nil:
		r.apply(map[string]record{key: {value, revision}})
		return true, nil
	case replaces:
		r.markUnsaved(key) // the file must have whatever is in force
		r.markDirty()
	}
	if !outdated(err) {
		return true, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return false, nil
}

// outdated reports whether a write failed because the record has changed since it was read.
func outdated(err error) bool {
	return errors.Is(err, jetstream.ErrKeyExists) || errors.Is(err, jetstream.ErrKeyRevisionMismatch)
}

// write stores a record if the stored one still has the revision of old.
func (r *Registry) write(ctx context.Context, key string, value []byte, old record) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, operationTimeout)
	defer cancel()
	if old.value == nil {
		return r.kv.Create(ctx, key, value)
	}
	return r.kv.Update(ctx, key, value, old.revision)
}

// refresh applies what another node wrote, without waiting for the watch.
func (r *Registry) refresh(ctx context.Context, key string) error {
	ctx, cancel := context.WithTimeout(ctx, operationTimeout)
	defer cancel()
	entry, err := r.kv.Get(ctx, key)
	switch {
	case err == nil:
		r.applyEntries(entry)
	case !errors.Is(err, jetstream.ErrKeyNotFound):
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return nil
}

// flushLoop writes, in the background, the last use of keys and an outdated metadata.json.
func (r *Registry) flushLoop(ctx context.Context) {
	tick := time.NewTicker(r.opts.KeepInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.dirty:
			if wait.For(ctx, flushDelay) != nil { // others may follow
				return
			}
		case <-tick.C:
			if err := errors.Join(r.writeLastUses(ctx), r.writeLogins(ctx, activityStep)); err != nil && ctx.Err() == nil {
				r.log.Warn("the last use of keys and logins could not be written; it will be retried", "error", err)
			}
		}
		r.writeFile()
	}
}
