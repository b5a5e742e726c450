package pusher

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/pushgate/pushgate/internal/push"
)

// Options is what a Service is made from.
type Options struct {
	// Store keeps everything.
	Store Store
	// Fachdienst is the checked section of that name. The Matrix realm has nothing to configure.
	Fachdienst FachdienstConfig
	// PublicURL refuses URLs whose host can never be dialled on behalf of a stranger (egress.Guard.CheckURL); it must
	// not touch the network. Nil refuses address literals and localhost. URLs on the gateways list are not asked for.
	PublicURL func(*url.URL) error
	// Location is Europe/Berlin, where months begin.
	Location *time.Location
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Service answers for pushers and channels of both realms. It keeps no state of its own and is safe for concurrent use.
//
// Its errors are *push.Error: Invalid with CodeMissingParam or CodeInvalidParam, Unavailable when the store is.
type Service struct {
	store Store
	rules map[push.Realm]rules
	now   func() time.Time
	loc   *time.Location
}

// New returns a Service. Options.Fachdienst must have passed its Check.
func New(o Options) *Service {
	if o.PublicURL == nil {
		o.PublicURL = namesOnly
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Service{
		store: o.Store,
		now:   o.Now,
		loc:   o.Location,
		rules: map[push.Realm]rules{
			push.RealmMatrix: {checkURL: checkMatrixURL, public: o.PublicURL, encryption: EncryptionForbidden},
			push.RealmFachdienst: {
				checkURL: checkGematikURL, allowed: o.Fachdienst.Gateways, public: o.PublicURL,
				encryption: o.Fachdienst.Encryption.normal(), catalog: NewCatalog(o.Fachdienst.Channels),
			},
		},
	}
}

// List returns the owner's pushers, those of all sessions, oldest first. Encryption is never among it.
func (s *Service) List(ctx context.Context, owner push.Owner) ([]Pusher, error) {
	if _, err := s.realm(owner); err != nil {
		return nil, err
	}
	list, err := s.store.ListPushers(ctx, owner)
	return list, stored(err)
}

// Set does what one POST pushers/set asks for: create, update whole, or delete. Everything is checked before anything is
// changed. device is the session that the caller's token belongs to, or empty.
func (s *Service) Set(ctx context.Context, owner push.Owner, device string, c Change) error {
	r, err := s.realm(owner)
	if err != nil {
		return err
	}
	if owner.Realm == push.RealmMatrix {
		c.Encryption = nil // no member of that API: a client may send what it likes
	}
	if names := c.missing(r.encryption); len(names) > 0 {
		return missingParams(names...)
	}
	key, err := c.key(owner)
	if err != nil {
		return err
	}
	if c.deletes() {
		// Nobody else's pusher is touched, and deleting what is not there is no error: the caller wanted it gone.
		_, err := s.store.DeletePusher(ctx, key)
		return stored(err)
	}
	p, err := c.pusher(key, device, r)
	if err != nil {
		return err
	}
	if p.Encryption, err = c.encryption(r.encryption, s.now(), s.loc); err != nil {
		return err
	}
	if err := s.room(ctx, key); err != nil {
		return err
	}
	return stored(s.store.SetPusher(ctx, Registration{Pusher: p, Evict: !c.Append}))
}

// maxPushers bounds what one person can store, and how many rows one event for that person becomes. No document has a
// limit; who keeps every pushkey that a phone ever had stays far below. Sets that race may pass it by a few.
const maxPushers = 500

// room refuses one pusher too many. What is there can always be updated.
func (s *Service) room(ctx context.Context, key Key) error {
	list, err := s.store.ListPushers(ctx, key.Owner)
	if err != nil {
		return stored(err)
	}
	if len(list) < maxPushers || slices.ContainsFunc(list, func(p Pusher) bool { return p.Key == key }) {
		return nil
	}
	return invalid(fmt.Sprintf("there are %d pushers already: delete one that is not needed", maxPushers))
}

// AvailableChannels returns every configured channel with its default. The Matrix realm has none.
func (s *Service) AvailableChannels(realm push.Realm) []Channel {
	return s.rules[realm].catalog.Defaults()
}

// Channels returns every configured channel as it stands for one device of the owner. ErrUnknownPushkey is in the chain
// of the error when the owner has no such device.
func (s *Service) Channels(ctx context.Context, owner push.Owner, pushkey push.Pushkey) ([]Channel, error) {
	r, err := s.realm(owner)
	if err != nil {
		return nil, err
	}
	if !possible(pushkey) {
		return nil, unknownPushkey()
	}
	devices, err := s.store.ListChoices(ctx, owner, pushkey)
	if err != nil {
		return nil, stored(err)
	}
	if len(devices) == 0 {
		return nil, unknownPushkey()
	}
	return r.catalog.merged(devices), nil
}

// ChannelChange is one element of a POST channels as received.
type ChannelChange struct {
	ID     string
	Status string
}

// SetChannels changes the listed channels of one device of the owner and leaves all others as they are. An id or a state
// that is not known changes nothing at all. Of one id listed twice the last counts. An empty list changes nothing, but
// the device must exist.
func (s *Service) SetChannels(ctx context.Context, owner push.Owner, pushkey push.Pushkey, changes []ChannelChange) error {
	r, err := s.realm(owner)
	if err != nil {
		return err
	}
	chosen := make(map[string]ChannelStatus, len(changes))
	for _, change := range changes {
		if !r.catalog.Knows(change.ID) {
			return invalid("unknown channel")
		}
		if chosen[change.ID], err = ParseChannelStatus(change.Status); err != nil {
			return invalid("status " + err.Error())
		}
	}
	if !possible(pushkey) {
		return unknownPushkey()
	}
	return stored(s.store.ChooseChannels(ctx, owner, pushkey, chosen))
}

// Delete removes all pushers of the owner, or with a device those of that session: a logout, or the erasure of a person.
// It returns how many.
func (s *Service) Delete(ctx context.Context, owner push.Owner, device string) (int, error) {
	if _, err := s.realm(owner); err != nil {
		return 0, err
	}
	n, err := s.store.DeleteOwner(ctx, owner, device)
	return n, stored(err)
}

// RemoveRejected removes what a gateway reported dead, except what was registered again since. It returns how many.
func (s *Service) RemoveRejected(ctx context.Context, r Rejected) (int, error) {
	if !r.Realm.Valid() {
		return 0, errOwner
	}
	n, err := s.store.DeleteRejected(ctx, r)
	return n, stored(err)
}

// realm returns the rules for an owner. Half an owner is a mistake of ours and must not reach the store.
func (s *Service) realm(owner push.Owner) (rules, error) {
	r, ok := s.rules[owner.Realm]
	if !ok || owner.User == "" {
		return rules{}, errOwner
	}
	return r, nil
}

// possible reports whether a pushkey could have been registered. A path can carry any bytes.
func possible(k push.Pushkey) bool {
	text := k.Reveal()
	return text != "" && len(text) <= maxPushkeyBytes && storable(text)
}
