package gatewayclient_test

import (
	"context"
	"net/http/httptrace"
)

// trace tells the caller that a connection was made.
func trace(ctx context.Context) {
	httptrace.ContextClientTrace(ctx).GotConn(httptrace.GotConnInfo{})
}
