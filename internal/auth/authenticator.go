package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/pushgate/pushgate/internal/push"
)

// Options is what an Authenticator is made from.
type Options struct {
	Config Config
	// HTTPClient fetches key sets and asks the homeserver. Redirects are never followed, whatever it says. Nil means a
	// client with the default transport.
	HTTPClient *http.Client
	// Logger gets a line when keys cannot be renewed; nil discards it.
	Logger *slog.Logger
}

// source is one way to know tokens. identify answers errForeign for a token that is not its own; Forbidden for one that
// it knows and that may not be used here; Unauthenticated for one that it knows to be dead; anything else means that it
// could not tell.
type source interface {
	identify(ctx context.Context, token Token) (Identity, error)
	// prepare reads the source's files again and returns what makes the result the current one.
	prepare() (commit func(), err error)
	close()
}

// Authenticator tells who a token belongs to. It is safe for concurrent use.
type Authenticator struct {
	realms map[push.Realm][]source
	all    []source
}

// New reads the files that the configuration names. It makes no request: keys are fetched when they are first needed.
func New(o Options) (*Authenticator, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	client := http.Client{}
	if o.HTTPClient != nil {
		client = *o.HTTPClient
	}
	// A redirect would carry a token, or the choice of keys, to an address that nobody configured.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

	a := &Authenticator{realms: map[push.Realm][]source{}}
	add := func(s source, realms ...push.Realm) {
		a.all = append(a.all, s)
		for _, r := range realms {
			a.realms[r] = append(a.realms[r], s)
		}
	}
	if o.Config.TokensFile != "" {
		// One file for both realms; Authenticate checks that what it finds is of the realm that was asked for.
		add(&tokensFile{path: o.Config.TokensFile}, push.RealmMatrix, push.RealmFachdienst)
	}
	for _, c := range o.Config.JWT {
		c = c.normal()
		add(newJWTSource(c, keysOf(c, &client, o.Logger)), c.Realm)
	}
	if o.Config.Matrix.HomeserverURL != "" {
		add(newWhoami(o.Config.Matrix.HomeserverURL, &client), push.RealmMatrix)
	}
	if err := a.Reload(); err != nil {
		a.Close()
		return nil, err
	}
	return a, nil
}

// Authenticate returns who the token belongs to in a realm. Its errors are *push.Error: Unauthenticated with
// M_MISSING_TOKEN, M_UNKNOWN_TOKEN (see SoftLogout) or M_USER_LOCKED; Forbidden when the token is good and may not be
// used here (see ErrClaim); Limited and Unavailable when nobody could tell, which says nothing about the token. Or it is
// context.Canceled.
func (a *Authenticator) Authenticate(ctx context.Context, realm push.Realm, token Token) (Identity, error) {
	if token == "" {
		return Identity{}, missingToken()
	}
	if !token.wellFormed() {
		return Identity{}, unknownToken()
	}
	var dead, unsure error
	for _, s := range a.realms[realm] {
		id, err := s.identify(ctx, token)
		if err == nil && id.Realm != realm {
			err = errForeign
		}
		switch kind := push.KindOf(err); {
		case err == nil:
			return id, nil
		case errors.Is(ctx.Err(), context.Canceled):
			return Identity{}, fmt.Errorf("authenticate: %w", ctx.Err())
		case ctx.Err() != nil:
			return Identity{}, unavailable(ctx.Err())
		case errors.Is(err, errForeign):
		case kind == push.Forbidden:
			return Identity{}, err
		case kind == push.Unauthenticated:
			dead = err
		default:
			unsure = err
		}
	}
	switch {
	case unsure != nil:
		return Identity{}, unsure // "unknown token" would log a client out because of our trouble
	case dead != nil:
		return Identity{}, dead
	default:
		return Identity{}, unknownToken()
	}
}

// Reload reads all files again. When one of them is wrong, everything stays as it was.
func (a *Authenticator) Reload() error {
	commits := make([]func(), 0, len(a.all))
	for _, s := range a.all {
		commit, err := s.prepare()
		if err != nil {
			return err
		}
		commits = append(commits, commit)
	}
	// From here on nothing can fail.
	for _, commit := range commits {
		commit()
	}
	return nil
}

// Close ends requests that are under way to issuers and the homeserver.
func (a *Authenticator) Close() {
	for _, s := range a.all {
		s.close()
	}
}
