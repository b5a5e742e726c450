// Package registrytest is what both engines' registries are held to beyond pushertest.Conform: what may lie in the file,
// what a restart keeps, and what calls cost as the table grows. It belongs to tests only.
package registrytest
