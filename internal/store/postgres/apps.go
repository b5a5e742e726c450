package postgres

import (
	"context"
	"fmt"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/pushgate/pushgate/internal/push"
)

// apps remembers the numbers of apps. An app keeps its number for ever, so nothing here can be out of date, only
// missing.
type apps struct {
	mu   sync.RWMutex
	byID map[push.AppID]int32
	byNo map[int32]push.AppID
}

func (a *apps) load(ctx context.Context, tx pgx.Tx) error {
	rows, err := tx.Query(ctx, "SELECT no, app_id FROM app")
	if err != nil {
		return fmt.Errorf("read the apps: %w", err)
	}
	return wrap("read the apps", eachRow(rows, a.scan))
}

func (a *apps) scan(rows pgx.Rows) error {
	var no int32
	var id push.AppID
	if err := rows.Scan(&no, &id); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.byID == nil {
		a.byID, a.byNo = map[push.AppID]int32{}, map[int32]push.AppID{}
	}
	a.byID[id], a.byNo[no] = no, id
	return nil
}

func (a *apps) number(id push.AppID) (int32, bool) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	no, ok := a.byID[id]
	return no, ok
}

// ensureApps gives new apps their number, in a transaction of their own: it happens once in the life of an app.
func (s *Store) ensureApps(ctx context.Context, named []push.AppID) error {
	missing := map[string]bool{}
	for _, id := range named {
		if _, ok := s.apps.number(id); !ok {
			missing[string(id)] = true
		}
	}
	if len(missing) == 0 {
		return nil
	}
	var ids []string
	for id := range missing {
		ids = append(ids, id)
	}
	var p pipeline
	p.exec("INSERT INTO app (app_id) SELECT DISTINCT unnest($1::text[]) ORDER BY 1 ON CONFLICT (app_id) DO NOTHING", ids)
	p.query(s.apps.scan, "SELECT no, app_id FROM app WHERE app_id = ANY($1::text[])", ids)
	return wrap("name the app", s.send(ctx, &p))
}

// findApp returns the number of an app that another node may have named; false when nobody has.
func (s *Store) findApp(ctx context.Context, id push.AppID) (int32, bool, error) {
	if no, ok := s.apps.number(id); ok {
		return no, true, nil
	}
	var p pipeline
	p.query(s.apps.scan, "SELECT no, app_id FROM app WHERE app_id = $1", string(id))
	if err := s.send(ctx, &p); err != nil {
		return 0, false, err
	}
	no, ok := s.apps.number(id)
	return no, ok, nil
}

// name returns the app of a number that another node may have given.
func (a *apps) name(ctx context.Context, s *Store, no int32) (push.AppID, bool, error) {
	if id, ok := a.known(no); ok {
		return id, true, nil
	}
	var p pipeline
	p.query(a.scan, "SELECT no, app_id FROM app WHERE no = $1", no)
	if err := s.send(ctx, &p); err != nil {
		return "", false, err
	}
	id, ok := a.known(no)
	return id, ok, nil
}

func (a *apps) known(no int32) (push.AppID, bool) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	id, ok := a.byNo[no]
	return id, ok
}
