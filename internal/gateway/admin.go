package gateway

import (
	"context"
	"time"

	"github.com/pushgate/pushgate/internal/push"
)

// adminPage is how many rows a purge handles at a time.
const adminPage = 1000

var errNoAdmin = &push.Error{Kind: push.NotFound, Msg: "This store has no administration."}

// QueueList returns up to limit rows with an id above after, in order, without payloads. An empty app means all. Apps
// are named as they are configured: a pattern stands for all app_ids that it matches.
func (g *Gateway) QueueList(ctx context.Context, app push.AppID, after int64, limit int) ([]push.Queued, error) {
	if g.admin == nil {
		return nil, errNoAdmin
	}
	return g.admin.ListQueued(ctx, app, after, limit)
}

// QueueShow returns one row without its payload, and whether it exists.
func (g *Gateway) QueueShow(ctx context.Context, id int64) (push.Queued, bool, error) {
	if g.admin == nil {
		return push.Queued{}, false, errNoAdmin
	}
	return g.admin.ShowQueued(ctx, id)
}

// QueueRetry makes rows due now: all of app, or only ids. It returns how many were moved. A paused app stays paused until
// its probe, which goes out at once, and a breaker open: what is due waits for them all the same.
func (g *Gateway) QueueRetry(ctx context.Context, app push.AppID, ids []int64) (int, error) {
	if g.admin == nil {
		return 0, errNoAdmin
	}
	n, err := g.admin.RetryQueued(ctx, app, ids)
	now := time.Now()
	for _, name := range g.backlog.names() {
		if app == "" || name == app {
			g.backlog.nowDue(name, now)
		}
	}
	for name, l := range g.routes.Load().byName {
		if app == "" || name == app {
			l.gate.probeNow(now)
		}
	}
	g.wakeWorker()
	return n, err
}

// QueuePurge deletes rows: all of app, or only ids. They count as dead-lettered, and copies of them are taken for new
// again. It returns how many were deleted.
func (g *Gateway) QueuePurge(ctx context.Context, app push.AppID, ids []int64) (int, error) {
	if g.admin == nil {
		return 0, errNoAdmin
	}
	if len(ids) > 0 {
		rows, err := g.showAll(ctx, app, ids)
		if err != nil {
			return 0, err
		}
		return g.purge(ctx, rows)
	}
	total, after := 0, int64(0)
	for app != "" {
		rows, err := g.admin.ListQueued(ctx, app, after, adminPage)
		if err != nil || len(rows) == 0 {
			return total, err
		}
		after = rows[len(rows)-1].ID
		n, err := g.purge(ctx, rows)
		total += n
		if err != nil {
			return total, err
		}
	}
	return total, nil
}

func (g *Gateway) showAll(ctx context.Context, app push.AppID, ids []int64) ([]push.Queued, error) {
	var rows []push.Queued
	for _, id := range ids {
		row, found, err := g.admin.ShowQueued(ctx, id)
		if err != nil {
			return nil, err
		}
		if found && (app == "" || row.AppID == app) {
			rows = append(rows, row)
		}
	}
	return rows, nil
}

// purge deletes rows and forgets that they were queued.
func (g *Gateway) purge(ctx context.Context, rows []push.Queued) (int, error) {
	if len(rows) == 0 {
		return 0, nil
	}
	ids := make([]int64, len(rows))
	for i, row := range rows {
		ids[i] = row.ID
	}
	gone, err := g.admin.PurgeQueued(ctx, "", ids)
	g.bookGone(gone, reasonPurged)
	total := 0
	for _, n := range gone {
		total += n
	}
	for _, row := range rows {
		g.recall.unqueued(row.Dedup)
		g.badges.ended(row.Device, row.ID)
	}
	return total, err
}

// RejectedList returns up to limit entries of the ledger with a sequence number above after, in order. A pushkey is
// shown as its hash only.
func (g *Gateway) RejectedList(ctx context.Context, app push.AppID, after int64, limit int) ([]push.DeadKey, error) {
	if g.admin == nil {
		return nil, errNoAdmin
	}
	return g.admin.ListDead(ctx, app, after, limit)
}

// RejectedForget removes entries: all of app, or only those of devices. Their pushkeys are asked of the provider again.
// It returns how many were removed.
func (g *Gateway) RejectedForget(ctx context.Context, app push.AppID, devices []push.Hash) (int, error) {
	if g.admin == nil {
		return 0, errNoAdmin
	}
	n, err := g.admin.ForgetDead(ctx, app, devices)
	if err != nil {
		return n, err
	}
	if len(devices) == 0 && app != "" {
		g.dead.removeApp(app)
	}
	for _, device := range devices {
		g.dead.remove(device)
	}
	return n, nil
}

// DeviceHash returns the hash by which the ledger and the queue know a device, for commands that are given a pushkey.
func (g *Gateway) DeviceHash(app push.AppID, key push.Pushkey) push.Hash {
	return g.deviceHash(push.Device{AppID: app, Pushkey: key})
}
