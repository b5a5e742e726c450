package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
)

// maxGroup bounds how many calls share one commit, so that none waits for too many others.
const maxGroup = 128

var errClosed = errors.New("store is closed")

// writer owns the only connection that writes. Calls that arrive while a commit is under way share the next one:
// many requests, one fsync. A call that fails is rolled back alone.
type writer struct {
	db    *sql.DB
	ops   chan *operation
	leave chan struct{} // closed by close
	gone  chan struct{} // closed when the loop has ended
	once  sync.Once

	// Only the loop touches these.
	conn  *sql.Conn
	stmts map[string]*sql.Stmt
}

// operation is one call's share of a transaction.
type operation struct {
	ctx  context.Context
	run  func(t *tx) error
	done func(committed bool) // runs once in the loop, in commit order, also when the caller has given up; may be nil
	// taken is set once: by the loop that carries the call out, or by the caller who takes it back.
	taken atomic.Bool
	err   error
	over  chan struct{}
}

// tx runs statements inside the writer's transaction.
type tx struct {
	w   *writer
	ctx context.Context // not the caller's: a caller who hangs up must not tear a transaction of others
}

func newWriter(db *sql.DB) *writer {
	w := &writer{db: db, ops: make(chan *operation, maxGroup), leave: make(chan struct{}), gone: make(chan struct{})}
	go w.loop()
	return w
}

// do runs one call and returns when it is committed or has failed. When ctx ends before its turn has come, it is not run
// at all. A call that has begun is waited for whatever ctx says: nobody looks for rows that were stored by a call that
// seemed to have failed.
func (w *writer) do(ctx context.Context, run func(t *tx) error, done func(committed bool)) error {
	if ctx.Err() != nil { // a select among several that are ready draws lots
		return fmt.Errorf("wait for the database: %w", context.Cause(ctx))
	}
	op := &operation{ctx: ctx, run: run, done: done, over: make(chan struct{})}
	select {
	case w.ops <- op:
	case <-w.leave:
		return errClosed
	case <-ctx.Done():
		return fmt.Errorf("wait for the database: %w", context.Cause(ctx))
	}
	select {
	case <-op.over:
		return op.err
	case <-w.gone:
		select {
		case <-op.over:
			return op.err
		default:
			return errClosed
		}
	case <-ctx.Done():
		if op.taken.CompareAndSwap(false, true) {
			return fmt.Errorf("wait for the database: %w", context.Cause(ctx))
		}
		<-op.over // the loop took it, and ends what it has taken
		return op.err
	}
}

func (w *writer) close() {
	w.once.Do(func() { close(w.leave) })
	<-w.gone
}

func (w *writer) loop() {
	defer close(w.gone)
	defer w.drop(false)
	for {
		select {
		case op := <-w.ops:
			w.commit(w.gather(op))
		case <-w.leave:
			for { // what was accepted before close is carried out
				select {
				case op := <-w.ops:
					w.commit(w.gather(op))
				default:
					return
				}
			}
		}
	}
}

// gather takes what is waiting, without waiting for more.
func (w *writer) gather(first *operation) []*operation {
	group := []*operation{first}
	for len(group) < maxGroup {
		select {
		case op := <-w.ops:
			group = append(group, op)
		default:
			return group
		}
	}
	return group
}

// commit runs a group in one transaction and tells every caller how it ended.
func (w *writer) commit(group []*operation) {
	err := w.transact(group)
	for _, op := range group {
		if op.err == nil {
			op.err = err
		}
		if op.done != nil {
			op.done(op.err == nil)
		}
		close(op.over)
	}
}

// transact returns the error that failed the whole group; an error of one call is left in its operation.
func (w *writer) transact(group []*operation) error {
	t := &tx{w: w, ctx: context.Background()}
	if err := w.connect(t.ctx); err != nil {
		return err
	}
	if err := t.exec("BEGIN IMMEDIATE"); err != nil {
		w.drop(true)
		return fmt.Errorf("begin: %w", err)
	}
	// Only now: another program may have locked the file for longer than the callers wait.
	group = present(group)
	for _, op := range group {
		if err := w.runOne(t, op, len(group) > 1); err != nil {
			w.rollback(t)
			return err
		}
	}
	if len(group) == 1 && group[0].err != nil {
		w.rollback(t)
		return nil
	}
	if err := t.exec("COMMIT"); err != nil {
		w.rollback(t)
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// present takes the calls whose callers still wait.
func present(group []*operation) []*operation {
	var here []*operation
	for _, op := range group {
		if op.taken.CompareAndSwap(false, true) {
			here = append(here, op)
		} else {
			op.err = context.Cause(op.ctx)
		}
	}
	return here
}

// runOne runs one call, in a savepoint when others share the transaction. It returns an error only when the
// transaction is lost: a full disk or an I/O error makes SQLite roll back by itself, savepoints included.
func (w *writer) runOne(t *tx, op *operation, shared bool) error {
	if !shared {
		op.err = op.run(t)
		return nil
	}
	if err := t.exec("SAVEPOINT call"); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	if op.err = op.run(t); op.err != nil {
		if err := t.exec("ROLLBACK TO call"); err != nil {
			return fmt.Errorf("transaction lost: %w", op.err)
		}
	}
	if err := t.exec("RELEASE call"); err != nil {
		return fmt.Errorf("transaction lost: %w", errors.Join(op.err, err))
	}
	return nil
}

// rollback ends a failed transaction. The connection goes too: after a failed commit its state is not worth trusting,
// and a new one costs less than a millisecond.
func (w *writer) rollback(t *tx) {
	_ = t.exec("ROLLBACK") // fails when SQLite has rolled back already
	w.drop(true)
}

func (w *writer) connect(ctx context.Context) error {
	if w.conn != nil {
		return nil
	}
	conn, err := w.db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("open the database: %w", err)
	}
	w.conn, w.stmts = conn, map[string]*sql.Stmt{}
	return nil
}

// drop closes the connection and its statements; broken also keeps the pool from using it again.
func (w *writer) drop(broken bool) {
	if w.conn == nil {
		return
	}
	for _, stmt := range w.stmts {
		_ = stmt.Close()
	}
	if broken {
		_ = w.conn.Raw(func(any) error { return driver.ErrBadConn })
	}
	_ = w.conn.Close()
	w.conn, w.stmts = nil, nil
}

func (t *tx) stmt(query string) (*sql.Stmt, error) {
	if stmt, ok := t.w.stmts[query]; ok {
		return stmt, nil
	}
	stmt, err := t.w.conn.PrepareContext(t.ctx, query)
	if err != nil {
		return nil, err
	}
	t.w.stmts[query] = stmt
	return stmt, nil
}

func (t *tx) exec(query string, args ...any) error {
	_, err := t.result(query, args...)
	return err
}

func (t *tx) result(query string, args ...any) (sql.Result, error) {
	stmt, err := t.stmt(query) //nolint:sqlclosecheck // kept as long as the connection
	if err != nil {
		return nil, err
	}
	return stmt.ExecContext(t.ctx, args...)
}

// row reads one row; false when there is none.
func (t *tx) row(query string, args []any, dest ...any) (bool, error) {
	stmt, err := t.stmt(query) //nolint:sqlclosecheck // kept as long as the connection
	if err != nil {
		return false, err
	}
	err = stmt.QueryRowContext(t.ctx, args...).Scan(dest...)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// errEnough ends a reading early and well.
var errEnough = errors.New("enough rows")

// each calls scan for every row.
func (t *tx) each(query string, args []any, scan func(rows *sql.Rows) error) error {
	stmt, err := t.stmt(query) //nolint:sqlclosecheck // kept as long as the connection
	if err != nil {
		return err
	}
	return eachRow(t.ctx, stmt, args, scan)
}

func eachRow(ctx context.Context, stmt *sql.Stmt, args []any, scan func(rows *sql.Rows) error) error {
	rows, err := stmt.QueryContext(ctx, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := scan(rows); errors.Is(err, errEnough) {
			return nil
		} else if err != nil {
			return err
		}
	}
	return rows.Err()
}
