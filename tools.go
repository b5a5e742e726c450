//go:build tools

// Package tools pins the programs that make generate runs, so that everyone generates with the same version, and says why
// each direct dependency is there.
//
// Asked for: oapi-codegen/oapi-codegen/v2 and oapi-codegen/runtime (code from openapi/), getkin/kin-openapi (contract check),
// gin-gonic/gin (web server), sideshow/apns2 (APNs), firebase.google.com/go/v4 (FCM).
//
// Further ones:
//   - SherClockHolmes/webpush-go: RFC 8291 encryption and VAPID signatures of Web Push
//   - software.sslmate.com/src/go-pkcs12: .p12 files with chains and today's encryption, which apns2's reader lacks
//   - golang.org/x/oauth2, google.golang.org/api: the access token that FCM wants, and the SDK's options
//   - golang.org/x/net: HTTP/2 with pings towards FCM; rules of HTTPS_PROXY and NO_PROXY
//   - modernc.org/sqlite: the embedded database without cgo; modernc.org/libc: its file system layer, for the power-loss test
//   - jackc/pgx/v5: PostgreSQL
//   - pressly/goose/v3: migrations, as a library
//   - sony/gobreaker/v2: circuit breaker
//   - golang-jwt/jwt/v5: bearer tokens of clients
//   - hashicorp/golang-lru/v2, golang.org/x/time: bounded rate limits per user and address
//   - golang.org/x/sync: one question for many waiting callers
//   - oapi-codegen/nullable: absent, null and a value told apart where the contract does
//   - prometheus/client_golang: metrics
//   - go.yaml.in/yaml/v3: the configuration file
//   - golang.org/x/crypto: a second reader of .p12 files, which checks those that the simulator writes (tests)
//   - stretchr/testify, go.uber.org/goleak, pgregory.net/rapid: tests
package tools

import (
	_ "github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen" // types, Gin strict servers and clients from openapi/
)
