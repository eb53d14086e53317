package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"theeye/internal/backup"
	"theeye/internal/plural"
	"theeye/internal/store/duckdb"
)

// damagedInBackup lists the segments that are damaged on the server when it is backed up.
type damagedInBackup struct {
	kept   []duckdb.DamagedSegment // the file is in the backup, from an earlier one
	absent []duckdb.DamagedSegment // the file is not in the backup
}

// unknown counts the segments that are not in the backup and whose loss was not acknowledged.
func (d damagedInBackup) unknown() (n int) {
	for _, one := range d.absent {
		if !one.Acknowledged {
			n++
		}
	}
	return n
}

// segmentFile is the file of a backup that holds the rows of a segment. Its filters can be rebuilt.
func segmentFile(d duckdb.DamagedSegment) backup.File {
	f := d.Segment.Data
	return backup.File{Kind: backup.Segment, Name: f.Name, Bytes: f.Bytes, SHA256: f.SHA256}
}

// keepDamaged adds files from an earlier backup in the folder to the index of a backup: those of
// segments that are now damaged on the server. A server that starts on the restored data readmits
// them.
func keepDamaged(folder *backup.Folder, x *backup.Index, m duckdb.Manifest) (d damagedInBackup, err error) {
	for _, one := range m.Damaged {
		f := segmentFile(one)
		missing, err := folder.Missing(backup.Index{Version: x.Version, Files: []backup.File{f}})
		if err != nil {
			return d, err
		}
		if len(missing) > 0 {
			d.absent = append(d.absent, one)
			continue
		}
		d.kept = append(d.kept, one)
		x.Files = append(x.Files, f)
	}
	return d, nil
}

// damagedOf says which of the segments that were damaged when a backup was taken are in it.
func damagedOf(x backup.Index, m duckdb.Manifest) (d damagedInBackup) {
	for _, one := range m.Damaged {
		if slices.Contains(x.Files, segmentFile(one)) {
			d.kept = append(d.kept, one)
		} else {
			d.absent = append(d.absent, one)
		}
	}
	return d
}

// lines describes the damaged segments for the person who took the backup.
func (d damagedInBackup) lines(dir string) (lines []string) {
	if len(d.kept) > 0 {
		lines = append(lines, fmt.Sprintf("%s damaged on the server, kept from an earlier backup: %s; copy %s to store/quarantine of the server and run `eye store readmit`",
			areSegments(d.kept), segmentList(d.kept), shellWord(dir)+"/files/"+d.kept[0].Segment.Data.Name+".*"))
	}
	if len(d.absent) > 0 {
		lines = append(lines, fmt.Sprintf("%s damaged on the server and not in this backup: %s", areSegments(d.absent), segmentList(d.absent)))
	}
	return lines
}

func areSegments(list []duckdb.DamagedSegment) string {
	if len(list) == 1 {
		return "1 segment is"
	}
	return plural.Count(len(list), "segment") + " are"
}

func segmentList(list []duckdb.DamagedSegment) string {
	texts := make([]string, len(list))
	for i, d := range list {
		texts[i] = fmt.Sprintf("%s (%s)", d.Segment.Data.Name, plural.Count(d.Segment.Rows.Events, "event"))
		if d.Acknowledged {
			texts[i] += ", acknowledged"
		}
	}
	return strings.Join(texts, ", ")
}

// manifestOf reads the manifest that an index names.
func manifestOf(dir string, x backup.Index) (m duckdb.Manifest, err error) {
	f, ok := x.Of(backup.Manifest)
	if !ok {
		return m, errors.New("the backup does not list a manifest")
	}
	b, err := backup.ReadFile(dir, f)
	if err == nil {
		m, err = duckdb.ParseManifest(b)
	}
	if err != nil {
		return m, fmt.Errorf("the backup's manifest cannot be used: %w", err)
	}
	return m, nil
}

// checkLineage returns an error if the backup in a folder must not be replaced because the server
// lacks what it holds: the server has another data directory, or has lost frames since. copied
// lists the files that were just copied into the folder.
func checkLineage(dir string, now duckdb.Manifest, copied []backup.File) error {
	x, err := backup.ReadIndex(dir)
	if err != nil {
		return checkUnlisted(dir, now, copied, err)
	}
	before, err := manifestOf(dir, x)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, backup.ErrContent) {
		return checkUnlisted(dir, now, copied, err)
	}
	if err != nil {
		return err
	}
	return checkTimeline(dir, now, before, x.Last)
}

// checkTimeline returns an error if the manifest of a server lacks what an earlier one has up to
// the frame end. A manifest of a version without timelines passes.
func checkTimeline(dir string, now, before duckdb.Manifest, end uint64) error {
	if before.Timeline == "" {
		return nil
	}
	switch last, ok := now.LastOf(before.Timeline); {
	case !ok:
		return fmt.Errorf("the backup in %s belongs to another data directory, or is older than the server's new store; it was not changed: use another folder", dir)
	case last < end:
		return fmt.Errorf("the backup in %s goes up to frame %d, but the server, which has been restored or recovered since, only has frames up to %d; it was not changed: use another folder", dir, end, last)
	}
	return nil
}

// checkUnlisted is checkLineage for a folder whose index is missing or unusable, because of err.
// The manifests in the folder say whose files it has. A backup that was interrupted before it had a
// manifest has no segments.
func checkUnlisted(dir string, now duckdb.Manifest, copied []backup.File, err error) error {
	manifests, segments, readErr := backup.Unlisted(dir, copied)
	if readErr != nil {
		return readErr
	}
	known := false
	for _, b := range manifests {
		before, err := duckdb.ParseManifest(b)
		if err != nil {
			continue
		}
		if err := checkTimeline(dir, now, before, before.Flushed); err != nil {
			return err
		}
		known = true
	}
	if !known && segments {
		return fmt.Errorf("the folder %s holds segments of an unknown server (%w); it was not changed: use another folder", dir, err)
	}
	return nil
}
