package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// guard holds for one transaction, so that it needs nothing from a pooler or the server's configuration. A commit is on
// disk before it is answered. Nobody waits long for a lock or holds one without working. And plans go through indexes
// row by row and are made once, whatever the statistics say: tables that are empty at noon and hold a million rows at
// one have none.
const guard = `SELECT set_config('synchronous_commit', 'on', true), set_config('lock_timeout', '5s', true),
	set_config('idle_in_transaction_session_timeout', '5s', true), set_config('jit', 'off', true),
	set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true),
	set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true),
	set_config('plan_cache_mode', 'force_generic_plan', true)`

// pipeline is one transaction whose statements travel in one round trip: the server runs and commits it whatever
// becomes of this node meanwhile. Each statement sees what was committed before it began.
type pipeline struct {
	batch   pgx.Batch
	guarded bool
}

func (p *pipeline) queue(sql string, args []any) *pgx.QueuedQuery {
	if !p.guarded {
		p.guarded = true
		p.batch.Queue(guard)
	}
	return p.batch.Queue(sql, args...)
}

func (p *pipeline) exec(sql string, args ...any) { p.queue(sql, args) }

// query calls scan for every row.
func (p *pipeline) query(scan func(rows pgx.Rows) error, sql string, args ...any) {
	p.queue(sql, args).Query(func(rows pgx.Rows) error { return eachRow(rows, scan) })
}

func eachRow(rows pgx.Rows, scan func(rows pgx.Rows) error) error {
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// send runs the pipeline.
func (s *Store) send(ctx context.Context, p *pipeline) error {
	if p.batch.Len() == 0 {
		return nil
	}
	return s.pool.SendBatch(ctx, &p.batch).Close()
}

// session is a transaction of several round trips on one connection.
type session struct {
	conn *pgxpool.Conn
	open bool
}

// begin takes a connection. The transaction begins with the first pipeline.
func (s *Store) begin(ctx context.Context) (*session, error) {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("get a connection: %w", err)
	}
	return &session{conn: conn}, nil
}

// send runs a pipeline inside the transaction.
func (x *session) send(ctx context.Context, p *pipeline) error {
	var b pgx.Batch
	if !x.open {
		x.open = true
		b.Queue("BEGIN")
	}
	b.QueuedQueries = append(b.QueuedQueries, p.batch.QueuedQueries...)
	return x.conn.SendBatch(ctx, &b).Close()
}

// commit runs a last pipeline and commits in the same round trip.
func (x *session) commit(ctx context.Context, p *pipeline) error {
	p.batch.Queue("COMMIT")
	err := x.conn.SendBatch(ctx, &p.batch).Close()
	x.open = x.open && err != nil
	return err
}

// close gives the connection back, and ends the transaction if it is still open. The pool drops a connection that is
// not idle then.
func (x *session) close(ctx context.Context) {
	if x.open && !x.conn.Conn().IsClosed() && ctx.Err() == nil {
		_, _ = x.conn.Exec(ctx, "ROLLBACK")
	}
	x.conn.Release()
}
