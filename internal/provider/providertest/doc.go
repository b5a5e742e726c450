// Package providertest is the conformance suite of provider.Provider: every provider runs it against a simulator of its
// service.
//
// It owns what all providers promise: one request per Send, verdicts that never lie about a device, faults that say
// nothing about it, deadlines that hold, and no text anywhere that gives away a pushkey or content. It does not know any
// service: a Harness translates. What only one service has (headers, payloads, reasons) is tested in its own package.
package providertest
