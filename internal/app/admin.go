package app

import (
	"context"
	"encoding/hex"
	"fmt"

	"github.com/pushgate/pushgate/internal/admin"
	"github.com/pushgate/pushgate/internal/gateway"
	"github.com/pushgate/pushgate/internal/push"
)

// maxPage bounds one answer of the admin socket.
const maxPage = 10_000

// openAdminSocket offers what the person on call may do.
func (a *App) openAdminSocket(ctx context.Context) error {
	s, err := admin.Listen(ctx, a.cfg.DataDir, a.commands(), a.log)
	if err != nil {
		return fmt.Errorf("admin socket: %w", err)
	}
	a.undo.add("admin socket", s.Close)
	return nil
}

// commands is the complete list of what the socket answers.
func (a *App) commands() map[string]admin.Command {
	return map[string]admin.Command{
		admin.CommandQueueList:      with(a.queueList),
		admin.CommandQueueShow:      with(a.queueShow),
		admin.CommandQueueRetry:     with(a.queueRetry),
		admin.CommandQueuePurge:     with(a.queuePurge),
		admin.CommandRejectedList:   with(a.rejectedList),
		admin.CommandRejectedForget: with(a.rejectedForget),
		admin.CommandPusherList:     with(a.pusherList),
		admin.CommandPusherDelete:   with(a.pusherDelete),
	}
}

// with decodes a command's input for its function.
func with[In any](run func(context.Context, In) (any, error)) admin.Command {
	return func(ctx context.Context, decode func(any) error) (any, error) {
		var in In
		if err := decode(&in); err != nil {
			return nil, err
		}
		return run(ctx, in)
	}
}

func page(limit int) int { return min(max(limit, 1), maxPage) }

func (a *App) queueList(ctx context.Context, in admin.List) (any, error) {
	rows, err := a.gateway.QueueList(ctx, push.AppID(in.App), in.After, page(in.Limit))
	return rowsOf(rows, a.gateway.Stats().Apps), err
}

func (a *App) queueShow(ctx context.Context, in admin.Choice) (any, error) {
	var rows []push.Queued
	for _, id := range in.IDs {
		row, found, err := a.gateway.QueueShow(ctx, id)
		if err != nil {
			return nil, err
		}
		if !found {
			return nil, &push.Error{Kind: push.NotFound, Msg: fmt.Sprintf("no row %d: delivered, given up, or never there", id)}
		}
		rows = append(rows, row)
	}
	return rowsOf(rows, a.gateway.Stats().Apps), nil
}

func (a *App) queueRetry(ctx context.Context, in admin.Choice) (any, error) {
	n, err := a.gateway.QueueRetry(ctx, push.AppID(in.App), in.IDs)
	return admin.Done{Count: n}, err
}

func (a *App) queuePurge(ctx context.Context, in admin.Choice) (any, error) {
	n, err := a.gateway.QueuePurge(ctx, push.AppID(in.App), in.IDs)
	return admin.Done{Count: n}, err
}

func (a *App) rejectedList(ctx context.Context, in admin.List) (any, error) {
	dead, err := a.gateway.RejectedList(ctx, push.AppID(in.App), in.After, page(in.Limit))
	out := admin.DeadList{Dead: make([]admin.Dead, len(dead))}
	for i, d := range dead {
		out.Dead[i] = admin.Dead{Seq: d.Seq, App: string(d.AppID), Device: hex.EncodeToString(d.Device[:]), Since: d.Since, Guarded: d.Guarded}
	}
	return out, err
}

func (a *App) rejectedForget(ctx context.Context, in admin.Choice) (any, error) {
	devices := make([]push.Hash, len(in.Devices))
	for i, text := range in.Devices {
		raw, err := hex.DecodeString(text)
		if err != nil || len(raw) != len(devices[i]) {
			return nil, &push.Error{Kind: push.Invalid, Msg: "a device is 32 hex digits, as rejected list shows them"}
		}
		copy(devices[i][:], raw)
	}
	n, err := a.gateway.RejectedForget(ctx, push.AppID(in.App), devices)
	return admin.Done{Count: n}, err
}

// rowsOf shows rows with what is known about their apps.
func rowsOf(rows []push.Queued, apps []gateway.AppStats) admin.Rows {
	trouble := map[string]string{}
	for _, one := range apps {
		switch {
		case one.Paused:
			trouble[one.App] = "paused: " + one.PauseReason
		case one.Breaker != "closed":
			trouble[one.App] = "without answers of its push service"
		}
	}
	out := admin.Rows{Rows: make([]admin.Row, len(rows))}
	for i, r := range rows {
		out.Rows[i] = admin.Row{
			ID: r.ID, App: string(r.AppID), Device: hex.EncodeToString(r.Device[:]), BadgeOnly: r.BadgeOnly, Attempts: r.Attempts,
			Accepted: r.Accepted, Due: r.Due, Deadline: r.Deadline, InFlight: r.Lease != 0, Trouble: trouble[string(r.AppID)],
		}
	}
	return out
}
