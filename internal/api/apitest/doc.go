// Package apitest holds what the tests of every API share: a judge that knows the contract and reads answers with it.
//
// It loads the contract afresh and judges by the OpenAPI 3.1 rules, so it does not share the engine's shortcuts.
package apitest
