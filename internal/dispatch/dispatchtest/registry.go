package dispatchtest

import (
	"context"

	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/pusher"
)

// The registry's methods happen in one order with the outbox's.

// ListPushers implements pusher.Store.
func (s *Store) ListPushers(ctx context.Context, owner push.Owner) ([]pusher.Pusher, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.registry.ListPushers(ctx, owner)
}

// SetPusher implements pusher.Store.
func (s *Store) SetPusher(ctx context.Context, r pusher.Registration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.cascade()
	return s.registry.SetPusher(ctx, r)
}

// DeletePusher implements pusher.Store.
func (s *Store) DeletePusher(ctx context.Context, key pusher.Key) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.cascade()
	return s.registry.DeletePusher(ctx, key)
}

// ListChoices implements pusher.Store.
func (s *Store) ListChoices(ctx context.Context, owner push.Owner, k push.Pushkey) ([]map[string]pusher.ChannelStatus, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.registry.ListChoices(ctx, owner, k)
}

// ChooseChannels implements pusher.Store.
func (s *Store) ChooseChannels(ctx context.Context, owner push.Owner, k push.Pushkey, chosen map[string]pusher.ChannelStatus) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.registry.ChooseChannels(ctx, owner, k, chosen)
}

// DeleteOwner implements pusher.Store.
func (s *Store) DeleteOwner(ctx context.Context, owner push.Owner, deviceID string) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.cascade()
	return s.registry.DeleteOwner(ctx, owner, deviceID)
}

// DeleteRejected implements pusher.Store.
func (s *Store) DeleteRejected(ctx context.Context, r pusher.Rejected) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.cascade()
	return s.registry.DeleteRejected(ctx, r)
}

// RemoveRejected implements dispatch.Remover, for tests that have no pusher.Service.
func (s *Store) RemoveRejected(ctx context.Context, r pusher.Rejected) (int, error) {
	return s.DeleteRejected(ctx, r)
}
