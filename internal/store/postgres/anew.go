package postgres

import (
	"errors"

	"github.com/jackc/pgx/v5/pgconn"
)

// maxTransactions bounds how often a transaction is begun anew that the database has given up.
const maxTransactions = 4

// begunAnew runs one transaction. Locks are taken in one order, so that deadlocks are rare; the database ends those that
// remain, after a second, and whoever it chose begins anew. do keeps nothing of a transaction that has failed.
func begunAnew[T any](do func() (T, error)) (T, error) {
	for attempt := 1; ; attempt++ {
		v, err := do()
		if err == nil || attempt == maxTransactions || !givenUp(err) {
			return v, err
		}
	}
}

// givenUp reports whether the database gave up a transaction that may succeed when begun anew.
func givenUp(err error) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && (pgErr.Code == deadlockDetected || pgErr.Code == serializationFailure)
}

// What the database says then.
const (
	deadlockDetected     = "40P01"
	serializationFailure = "40001"
)
