// Package pushgateway serves the two push gateway APIs of openapi/push-gateway.yaml: the Matrix one for homeservers and
// gematik's for Fachdienste.
//
// It turns a request into one push.Notification per device, hands them to the gateway in one call, and turns the
// deliveries into the answer: rejected pushkeys, the status of each batch item, the summary. It owns the four error texts
// of batches and their order, and who counts as a known caller. It owns no rule about apps, retries or what is
// dead: those are the gateway's.
package pushgateway
