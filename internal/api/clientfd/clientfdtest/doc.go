// Package clientfdtest holds what gematik's documents and the deployed apps say about registrations and channels, as
// requests and answers, to be run over every implementation of pusher.Store.
//
// The case names quote the section of the facts that they come from; [O] is the published contract, [T] a requirement,
// [IG] the E-Rezept implementation guide, [A] what an app sends, [D] a decision of ours.
package clientfdtest
