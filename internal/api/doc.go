// Package api is the edge: one Gin engine that serves every API pushgate has, each from its contract in openapi/.
//
// A request passes, in this order: request id and access log, panic recovery, route, whether the processors keep up,
// authentication, media type, body (bounded, read once), contract check, handler. Whatever goes wrong on the way reaches
// one writer, which knows the status for each push.Kind; an API adds only the shape of its error body.
//
//	api := pushgateway.New(...)        // an api.API: contract, handlers, groups of operations with common rules
//	engine, err := api.New(api.Options{...})
//	err = engine.Mount(api)
//	server := api.NewServer(api.ServerOptions{Handler: engine, ...})
//
// It owns limits, request ids, who the caller is, and what an error looks like. It owns no business rule: the packages
// below it translate wire types and call one method each. Nothing of a path parameter, query or body reaches its logs.
package api
