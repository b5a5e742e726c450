// Package provider is the contract between the gateway and the push services (APNs, FCM, Web Push).
//
// A provider builds the payload, makes one request and classifies the answer. It owns its connections and credentials.
// It does not retry, queue, count duplicates or decide what a verdict leads to: the gateway does. Each provider lives
// in a package below this one with the same files: <name>.go, payload.go, classify.go, config.go. The suite that all of
// them pass is providertest.
package provider
