// Package openapi builds the OpenAPI document of all routes, without a running node.
package openapi

import (
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"theeye/internal/httpapi"
	"theeye/internal/httpapi/admin"
	"theeye/internal/httpapi/intake"
	"theeye/internal/httpapi/read"
)

// legacyApp is a placeholder for the application of --legacy-app. The document does not name it.
const legacyApp = "legacy"

// Document returns the document, with or without the routes of --legacy-app.
func Document(legacy bool) *huma.OpenAPI { return httpapi.OpenAPI(Routes(legacy)) }

// Routes returns the routes of a node. Only their documentation can be used, not their handlers.
func Routes(legacy bool) []httpapi.Route {
	app := ""
	if legacy {
		app = legacyApp
	}
	return slices.Concat(
		intake.New(intake.Options{LegacyApp: app}).Routes(),
		read.New(read.Options{LegacyApp: app}).Routes(),
		admin.New(admin.Options{}).Routes(),
	)
}
