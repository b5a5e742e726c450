package admin_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/admin"
	"github.com/pushgate/pushgate/internal/push"
)

// serve opens a socket with one command that answers, one that refuses and one that fails inside.
func serve(t *testing.T, dir string) *bytes.Buffer {
	t.Helper()
	var log bytes.Buffer
	commands := map[string]admin.Command{
		admin.CommandQueueList: func(_ context.Context, decode func(any) error) (any, error) {
			var in admin.List
			if err := decode(&in); err != nil {
				return nil, err
			}
			return admin.Rows{Rows: []admin.Row{{ID: in.After, App: in.App}}}, nil
		},
		admin.CommandQueueShow: func(context.Context, func(any) error) (any, error) {
			return nil, &push.Error{Kind: push.NotFound, Msg: "no row 7"}
		},
		admin.CommandQueuePurge: func(context.Context, func(any) error) (any, error) {
			return nil, errors.New("canary-cause")
		},
	}
	s, err := admin.Listen(context.Background(), dir, commands, slog.New(slog.NewTextHandler(&log, nil)))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close(context.Background())) })
	return &log
}

func TestSocket_OnlyItsOwnerMayOpenIt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, admin.SocketName), nil, 0o644), "what a dead process left behind")
	serve(t, dir)
	info, err := os.Stat(filepath.Join(dir, admin.SocketName))
	require.NoError(t, err)
	require.Equal(t, os.ModeSocket, info.Mode().Type())
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, left, 1, "the private folder of the start is gone")
}

func TestSocket_AnswersRefusesAndKeepsCausesToItself(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	serve(t, dir)
	c, ctx := admin.NewClient(dir), context.Background()
	var rows admin.Rows
	require.NoError(t, c.Call(ctx, admin.CommandQueueList, admin.List{App: "a", After: 5}, &rows))
	require.Equal(t, []admin.Row{{ID: 5, App: "a"}}, rows.Rows)
	require.EqualError(t, c.Call(ctx, admin.CommandQueueShow, admin.Choice{}, &rows), "no row 7")
	require.EqualError(t, c.Call(ctx, admin.CommandQueuePurge, admin.Choice{}, &rows), "failed, see the log")
	require.ErrorContains(t, c.Call(ctx, admin.CommandQueueList, map[string]int{"unknown": 1}, &rows), "differ in version")
	require.ErrorContains(t, c.Call(ctx, "no/such", admin.Choice{}, &rows), "refused: 404")
}

func TestClient_SaysThatNobodyAnswers(t *testing.T) {
	t.Parallel()
	err := admin.NewClient(t.TempDir()).Call(context.Background(), admin.CommandQueueList, admin.List{}, &admin.Rows{})
	require.ErrorContains(t, err, "no pushgate answers")
}
