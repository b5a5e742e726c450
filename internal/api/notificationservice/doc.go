// Package notificationservice serves openapi/notification-service.yaml: where a Fachdienst says that something happened to
// a person, and a Matrix server that one of its users has an event.
//
// It owns who counts as a known sender, how a request becomes an event, and the codes of errors. It owns no rule about
// channels, devices or sending: those are package dispatch's.
package notificationservice
