//go:build tools

// Package tools pins the programs that make generate runs, so that everyone generates with the same version.
package tools

import (
	_ "github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen" // types, Gin strict servers and clients from openapi/
)
