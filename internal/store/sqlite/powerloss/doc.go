// Package powerloss holds no code, only a test: the SQLite store on a disk that keeps what it was told to sync, and of the
// rest whatever it likes.
//
// It is a package of its own because it puts a layer under every database that its process opens.
package powerloss
