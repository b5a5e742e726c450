package postgres

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/store/keyring"
)

var errNoDeadline = errors.New("row has no deadline")

const (
	// lockNew creates or locks the devices' lines as if every row were stored; insertRows corrects it for duplicates.
	// A line that is due too early does no harm: a claim that finds nothing there puts it right.
	lockNew = `INSERT INTO queue_device AS d (device, app, held, due)
		SELECT i.device, i.app, i.held, coalesce(store_clock() + i.due, 9223372036854775807)
		FROM unnest($1::bytea[], $2::int[], $3::int[], $4::bigint[]) AS i (device, app, held, due) ORDER BY i.device, i.app
		ON CONFLICT (device, app) DO UPDATE SET held = d.held + excluded.held, due = least(d.due, excluded.due)`

	// replaceBadges deletes the newest waiting badge-only row of each device. Older ones can only be left from lapsed
	// leases; they are left to Expire, which counts them.
	replaceBadges = `WITH waiting AS MATERIALIZED (
			SELECT q.id, q.app, q.device, row_number() OVER (PARTITION BY q.device ORDER BY q.id DESC) AS age
			FROM unnest($1::bytea[]) AS i (device) JOIN queue q ON q.device = i.device
			WHERE q.badge_only AND q.deadline > store_clock() AND NOT EXISTS (SELECT 1 FROM queue_lease l WHERE l.id = q.id)),
		gone AS (DELETE FROM queue q USING waiting w WHERE q.id = w.id AND w.age = 1 RETURNING q.id, q.app, q.device),
		payloads AS (DELETE FROM payload p USING gone g WHERE p.id = g.id),
		counted AS (INSERT INTO queue_count (app, delta) SELECT app, -count(*) FROM gone GROUP BY app),
		older AS (UPDATE queue q SET deadline = 0 FROM waiting w WHERE q.id = w.id AND w.age > 1)
		SELECT device FROM gone`

	// forgetHashes takes the hash from rows past their deadline that nobody has counted yet: they must not swallow a new
	// notification.
	forgetHashes = `UPDATE queue q SET dedup = NULL FROM unnest($1::bytea[]) AS i (dedup)
		WHERE q.dedup = i.dedup AND q.deadline <= store_clock()
			AND NOT EXISTS (SELECT 1 FROM queue_lease l WHERE l.id = q.id AND l.until > store_clock())`

	// insertRows stores what is no duplicate. (IS TRUE makes the planner keep a set where it would join.)
	insertRows = `WITH clock AS MATERIALIZED (SELECT store_clock() AS now),
		i AS MATERIALIZED (SELECT nextval('queue_id') AS id, u.* FROM (
			SELECT * FROM unnest($1::int[], $2::bytea[], $3::bytea[], $4::bool[], $5::bool[], $6::int[], $7::int[],
				$8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bytea[]) WITH ORDINALITY
				AS u (app, device, dedup, badge_only, has_counts, attempts, stale_dead, accepted, due, deadline, lease, body, ord)
			ORDER BY ord) u),
		stored AS (INSERT INTO queue (id, app, device, dedup, badge_only, has_counts, attempts, stale_dead, accepted, due, deadline)
			SELECT id, app, device, dedup, badge_only, has_counts, attempts, stale_dead, accepted, now + due, now + deadline
			FROM i, clock ORDER BY ord
			ON CONFLICT (dedup) WHERE dedup IS NOT NULL DO NOTHING RETURNING id),
		s AS MATERIALIZED (SELECT * FROM i WHERE (id IN (SELECT id FROM stored)) IS TRUE),
		payloads AS (INSERT INTO payload (id, body) SELECT id, body FROM s),
		leases AS (INSERT INTO queue_lease (id, device, app, lease, until, claimed)
			SELECT id, device, app, lease, clock.now + $13, false FROM s, clock WHERE lease <> 0),
		counted AS (INSERT INTO queue_count (app, delta) SELECT app, count(*) FROM s GROUP BY app),
		corrected AS (UPDATE queue_device d SET held = d.held - x.n
			FROM (SELECT device, app, count(*)::int AS n FROM i WHERE lease <> 0 AND (id IN (SELECT id FROM stored)) IS NOT TRUE GROUP BY device, app) x
			WHERE d.device = x.device AND d.app = x.app)
		SELECT ord, id FROM s`
)

// enqueue is one Enqueue as the columns that travel.
type enqueue struct {
	apps                     []int32
	devices, dedups, bodies  [][]byte
	badges, counts           []bool
	attempts, stale          []int32
	accepted, due, deadlines []int64
	leases                   []int64
	index                    []int // of the row in the call
	lines                    map[line]*lineChange
	badgeDevices             map[push.Hash][]int // waiting badge-only rows of the call, by device
}

// line is a line of queue_device.
type line struct {
	device push.Hash
	app    int32
}

// lineChange is what a call adds to a line.
type lineChange struct {
	held int32
	due  *int64 // of the first row that waits; nil when none does
}

// Enqueue implements store.Queue.
func (s *Store) Enqueue(ctx context.Context, rows []push.Queued, lease time.Duration) ([]push.Enqueued, error) {
	if len(rows) == 0 {
		return nil, nil
	}
	named := make([]push.AppID, len(rows))
	for i, r := range rows {
		named[i] = r.AppID
		if r.Deadline.IsZero() {
			return nil, fmt.Errorf("enqueue: %w", errNoDeadline)
		}
	}
	if err := s.ensureApps(ctx, named); err != nil {
		return nil, fmt.Errorf("enqueue: %w", err)
	}
	e := s.columns(rows)
	out, err := begunAnew(func() ([]push.Enqueued, error) { return s.insert(ctx, e, len(rows), lease) })
	if err != nil {
		return nil, fmt.Errorf("enqueue: %w", err)
	}
	return out, nil
}

// insert is Enqueue in one transaction. It answers for n rows.
func (s *Store) insert(ctx context.Context, e *enqueue, n int, lease time.Duration) ([]push.Enqueued, error) {
	out := make([]push.Enqueued, n)
	var p pipeline
	e.lock(&p)
	e.replace(&p, out)
	p.exec(forgetHashes, e.dedups)
	p.query(func(rows pgx.Rows) error {
		var ord, id int64
		err := rows.Scan(&ord, &id)
		o := &out[e.index[ord-1]]
		o.ID, o.Lease = id, push.LeaseID(e.leases[ord-1])
		if o.State == push.EnqueueDuplicate {
			o.State = push.EnqueueStored
		}
		return err
	}, insertRows, e.apps, e.devices, e.dedups, e.badges, e.counts, e.attempts, e.stale, e.accepted, e.due, e.deadlines, e.leases, e.bodies, lease.Microseconds())
	return out, s.send(ctx, &p)
}

// columns seals the payloads and turns rows into columns. Of several waiting badge-only rows of one device only the
// last is stored: the others would be replaced at once.
func (s *Store) columns(rows []push.Queued) *enqueue {
	e := &enqueue{lines: map[line]*lineChange{}, badgeDevices: map[push.Hash][]int{}}
	for i, r := range rows {
		if r.BadgeOnly && !r.UnderWay {
			e.badgeDevices[r.Device] = append(e.badgeDevices[r.Device], i)
		}
	}
	now := s.now()
	for i, r := range rows {
		if same := e.badgeDevices[r.Device]; r.BadgeOnly && !r.UnderWay && i != same[len(same)-1] {
			continue
		}
		app, _ := s.apps.number(r.AppID)
		due := distance(r.Due, now)
		var lease int64
		if r.UnderWay {
			lease = newLease()
		}
		e.index = append(e.index, i)
		e.apps = append(e.apps, app)
		e.devices = append(e.devices, r.Device[:])
		e.dedups = append(e.dedups, orNull(r.Dedup))
		e.badges, e.counts = append(e.badges, r.BadgeOnly), append(e.counts, r.HasCounts)
		e.attempts, e.stale = append(e.attempts, int32(r.Attempts)), append(e.stale, int32(r.StaleDead))
		e.accepted = append(e.accepted, stamp(r.Accepted))
		e.due, e.deadlines = append(e.due, due), append(e.deadlines, distance(r.Deadline, now))
		e.leases = append(e.leases, lease)
		e.bodies = append(e.bodies, s.sealer.Seal(payloadPlace(r.Device, r.Dedup, stamp(r.Accepted)), r.Payload))
		e.note(line{r.Device, app}, due, r.UnderWay)
	}
	return e
}

// note adds a row to its device's line.
func (e *enqueue) note(k line, due int64, underWay bool) {
	c := e.lines[k]
	if c == nil {
		c = &lineChange{}
		e.lines[k] = c
	}
	if underWay {
		c.held++
	} else if c.due == nil || due < *c.due {
		c.due = &due
	}
}

func (e *enqueue) lock(p *pipeline) {
	var devices [][]byte
	var apps, held []int32
	var due []*int64
	for k, c := range e.lines {
		devices, apps = append(devices, k.device[:]), append(apps, k.app)
		held, due = append(held, c.held), append(due, c.due)
	}
	p.exec(lockNew, devices, apps, held, due)
}

// replace deletes waiting badges that rows of this call take the place of, and says so in out. Rows that turn out to
// be stored overwrite the state duplicate.
func (e *enqueue) replace(p *pipeline, out []push.Enqueued) {
	for i := range out {
		out[i].State = push.EnqueueDuplicate
	}
	if len(e.badgeDevices) == 0 {
		return
	}
	var devices [][]byte
	for device, rows := range e.badgeDevices {
		devices = append(devices, device[:])
		out[rows[0]].State = push.EnqueueStored
		for _, i := range rows[1:] {
			out[i].State = push.EnqueueReplaced
		}
	}
	p.query(func(rows pgx.Rows) error {
		var device []byte
		err := rows.Scan(&device)
		out[e.badgeDevices[hash(device)][0]].State = push.EnqueueReplaced
		return err
	}, replaceBadges, devices)
}

// payloadPlace binds a payload to the row's lasting identity. The id is not known yet when a payload is sealed.
func payloadPlace(device, dedup push.Hash, accepted int64) keyring.Place {
	row := slices.Concat(device[:], dedup[:])
	return keyring.Place{Table: "payload", Column: "body", Row: binary.BigEndian.AppendUint64(row, uint64(accepted))}
}

// newLease draws a lease's name: random, so that a stale verdict never fits a later lease of whatever node.
func newLease() int64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand crashes the process instead
	return int64(binary.BigEndian.Uint64(b[:])>>1 | 1)
}

// orNull is a hash column: nil for the zero hash.
func orNull(h push.Hash) []byte {
	if h.IsZero() {
		return nil
	}
	return bytes.Clone(h[:])
}
