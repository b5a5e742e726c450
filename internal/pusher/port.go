package pusher

import (
	"context"
	"errors"
	"time"

	"github.com/pushgate/pushgate/internal/push"
)

// ErrUnknownPushkey says that the owner has no pusher with this pushkey, or not any more. The store returns it from
// ChooseChannels; errors of the Service that mean it have it in their chain.
var ErrUnknownPushkey = errors.New("unknown pushkey")

// Store is what the Service needs from the database: three small ports on one set of tables.
//
// Every method is one transaction. Two calls about the same Key, on one node or on several, happen one after the other:
// whoever changes a pusher, its choices or its keys locks the pusher's row first. Owner, Key and Pushkey are compared
// byte for byte (no case folding, no normalisation); a method given one realm never reads or changes the other.
// Errors other than ErrUnknownPushkey mean that nothing was changed and that trying again may help.
type Store interface {
	Pushers
	Choices
	Removal
}

// Pushers is the registry itself.
type Pushers interface {
	// ListPushers returns the owner's pushers with everything but Encryption (nil here: it is write-only), oldest Created
	// first and those of one instant by (AppID, Pushkey), so that the order is stable.
	ListPushers(ctx context.Context, owner push.Owner) ([]Pusher, error)
	// SetPusher creates or replaces a pusher as r says, all in one transaction.
	SetPusher(ctx context.Context, r Registration) error
	// DeletePusher deletes one pusher with its choices and keys, and says whether it was there.
	DeletePusher(ctx context.Context, key Key) (bool, error)
}

// Registration is a checked "create or update" of one pusher.
type Registration struct {
	// Pusher replaces what is stored under its Key whole: names, lang, profile_tag, data, encryption. Created and Updated
	// are ignored: the store sets Updated to its clock's now (the database's where nodes share one) and never to a time
	// that is not later than the Updated before; Created stays as it was, or becomes Updated for a new pusher. DeviceID
	// stays as it was unless that was empty: another session that updates a pusher does not take it over.
	// Channel choices of an updated pusher stay.
	//
	// Pusher.Encryption replaces the whole key chain (nil removes it), even when the stored generation is newer: a new
	// ISS means that the app forgot the old keys.
	Pusher Pusher
	// Evict deletes the pushers of all other users of the same realm with exactly this app_id and pushkey, with their
	// choices and keys. Two users who race for one pair with Evict leave exactly one pusher.
	Evict bool
}

// Choices are the explicit channel choices of a device. What is not stored has its configured default.
type Choices interface {
	// ListChoices returns one element for each of the owner's pushers with this pushkey (several app_ids may share one),
	// in the order of ListPushers: its explicit choices by channel id, an empty map when there are none. No pusher gives
	// an empty list, not an error.
	ListChoices(ctx context.Context, owner push.Owner, pushkey push.Pushkey) ([]map[string]ChannelStatus, error)
	// ChooseChannels stores the given choices for every pusher of the owner with this pushkey and leaves all others as
	// they are. It locks the pushers' rows first; when there is none (any more) it returns ErrUnknownPushkey and stores
	// nothing. The ids are unique and known; ChannelNotSet is a choice like the others.
	ChooseChannels(ctx context.Context, owner push.Owner, pushkey push.Pushkey, chosen map[string]ChannelStatus) error
}

// Removal ends pushers without their user asking. Choices and keys go with them.
type Removal interface {
	// DeleteOwner deletes all pushers of the owner, or with a deviceID only those of that session, and returns how many.
	DeleteOwner(ctx context.Context, owner push.Owner, deviceID string) (int, error)
	// DeleteRejected deletes the pushers that r means, in one statement, and returns how many.
	DeleteRejected(ctx context.Context, r Rejected) (int, error)
}

// Rejected is a gateway's word that a pushkey is dead. It means every pusher of Realm with this Pushkey and URL, narrowed
// by what else is known, whose Updated is not later than Since.
type Rejected struct {
	Realm   push.Realm
	Pushkey push.Pushkey
	// URL is the data.url of the gateway that said so: a gateway can only end pushers that are sent through it.
	URL string
	// AppID narrows to one app and User to one person; empty when the pushkey was not part of the request (a gateway may
	// report it because of an earlier one), then all count.
	AppID push.AppID
	User  push.UserID
	// Since is the Updated of the pusher that the request was made from: a registration renewed meanwhile is later and
	// stays. Without one (AppID empty) it is the store's clock just before the request began.
	Since time.Time
}
