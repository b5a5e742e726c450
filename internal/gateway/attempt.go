package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/pushgate/pushgate/internal/push"
)

// The results of an attempt, as the Observer hears them.
const (
	resultFaultMessage = "fault_message"
	resultFaultConfig  = "fault_config"
)

// ask makes one request to the provider. It is detached from every caller and bounded by provider_timeout alone: a
// caller that hangs up changes nothing.
func (g *Gateway) ask(t *trial, n push.Notification, collapse push.Hash, cfg *Config) {
	t.device, t.began = n.Device, time.Now()
	ctx, cancel := context.WithDeadline(context.Background(), t.began.Add(cfg.ProviderTimeout))
	defer cancel()
	t.outcome, t.err, t.panicked = g.contained(ctx, t.binding, n, collapse)
	t.ended = time.Now()
	if g.observer != nil {
		result, reason := describe(t)
		g.observer.Attempt(string(t.lane.name), t.binding.Kind, result, reason, t.ended.Sub(t.began))
	}
}

// contained turns a panic into the zero Outcome, which means "try later". What was panicked with is not logged: it may
// hold the notification.
func (g *Gateway) contained(ctx context.Context, b *binding, n push.Notification, collapse push.Hash) (o push.Outcome, err error, panicked bool) { //nolint:revive,staticcheck // the error is the provider's answer, not ours
	defer func() {
		if r := recover(); r != nil {
			o, err, panicked = push.Outcome{}, nil, true
			g.logger.Error("provider panicked", slog.String("app", b.Pattern), slog.String("type", fmt.Sprintf("%T", r)), slog.String("stack", string(debug.Stack())))
		}
	}()
	o, err = b.Provider.Send(ctx, n, collapse)
	return o, err, false
}

func describe(t *trial) (result, reason string) {
	switch fault, isFault := t.err.(*push.Fault); { //nolint:errorlint // for a label only; wrapped faults are judged with errors.As
	case t.panicked:
		return reasonPanic, reasonPanic
	case isFault && fault.Kind == push.FaultConfig:
		return resultFaultConfig, fault.Reason
	case isFault:
		return resultFaultMessage, fault.Reason
	case t.err != nil:
		return push.RetryAfter.String(), reasonUnknown
	}
	if reason = t.outcome.Reason; reason == "" {
		reason = reasonUnknown
	}
	return t.outcome.Verdict.String(), reason
}
