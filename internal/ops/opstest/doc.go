// Package opstest helps tests to prove that nothing private is visible to the people who run the process.
//
// A test plants canaries (a pushkey, content, a token), captures everything that is written or scraped, and asks whether
// a canary shows in any spelling. It tells nothing about what is in a database or on the wire.
package opstest
