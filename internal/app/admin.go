package app

import (
	"context"
)

func (a *App) openAdminSocket(context.Context) error { return nil }
