package client

import (
	"net/url"
	"strings"
)

// Paths of the API.
const (
	AcceptClockPath       = "/v1/store/accept-clock"
	AcknowledgePath       = "/v1/store/acknowledge"
	AppsPath              = "/v1/apps"
	AuditPath             = "/v1/audit"
	BackupManifestPath    = "/v1/backup/manifest"
	BooksPath             = "/v1/books"
	CountPath             = "/v1/count"
	EventsPath            = "/v1/events"
	ExportPath            = "/v1/export"
	FeedPath              = "/v1/feed"
	LoginLinksPath        = "/v1/logins/links"
	ReadinessPath         = "/readyz"
	ReadmitPath           = "/v1/store/readmit"
	ReceiptsPath          = "/v1/receipts"
	RejectionsPath        = "/v1/rejections"
	RejectionsSummaryPath = "/v1/rejections/summary"
	ReplaysPath           = "/v1/replays"
	RescuePath            = "/v1/store/rescue"
	SeriesPath            = "/v1/series"
	SessionsPath          = "/v1/sessions"
	StartReplayPath       = "/v1/rejections/replay"
	TailPath              = "/v1/tail"
	TypesPath             = "/v1/types"
	UnreadablePath        = "/v1/unreadable"
	ValuesPath            = "/v1/values"
)

// AppPath returns the path of an application.
func AppPath(app string) string { return AppsPath + "/" + Segment(app) }

// KeysPath returns the path of the keys of an application, or of the keys for all applications if
// app is "".
func KeysPath(app string) string {
	if app == "" {
		return "/v1/keys"
	}
	return AppPath(app) + "/keys"
}

// KeyPath returns the path of a key of an application, or of a key for all applications if app is
// "".
func KeyPath(app, id string) string { return KeysPath(app) + "/" + Segment(id) }

// TypePath returns the path of an event type.
func TypePath(category, name string) string {
	return TypesPath + "/" + Segment(category) + "/" + Segment(name)
}

// EventPath returns the path of an event, by its id or by the text that its sender gave as its id.
func EventPath(id string) string { return EventsPath + "/" + Segment(id) }

// ReceiptPath returns the path of the receipt of an event.
func ReceiptPath(id string) string { return ReceiptsPath + "/" + Segment(id) }

// SessionPath returns the path of a session.
func SessionPath(id string) string { return SessionsPath + "/" + Segment(id) }

// RejectionPath returns the path of a rejection.
func RejectionPath(id string) string { return RejectionsPath + "/" + Segment(id) }

// ReplayPath returns the path of a replay.
func ReplayPath(id string) string { return ReplaysPath + "/" + Segment(id) }

// BackupFilePath returns the path of a file of a backup.
func BackupFilePath(name string) string { return "/v1/backup/files/" + Segment(name) }

// Segment escapes text as one segment of the path of a URL or a file. It also escapes leading dots:
// "." and ".." would mean the folder itself or its parent, and a file whose name begins with a dot
// would be hidden.
func Segment(text string) string {
	rest := strings.TrimLeft(text, ".")
	return strings.Repeat("%2E", len(text)-len(rest)) + url.PathEscape(rest)
}
