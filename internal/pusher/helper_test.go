package pusher_test

import (
	"testing"
	"time"
	_ "time/tzdata" // Europe/Berlin must exist wherever the tests run

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/pusher"
	"github.com/pushgate/pushgate/internal/pusher/pushertest"
)

const (
	matrixURL  = "https://push.example.org/_matrix/push/v1/notify"
	gematikURL = "https://gw.example.com/push/v1/"
	vectorISS  = "f2ca1bb6c7e907d06dafe4687e579fce76b37e4e93b7605022da52e6ccc26fd2"
)

// bundle is a Service on an empty store, and people of both realms.
type bundle struct {
	*pusher.Service
	store      *pushertest.Store
	alice, bob push.Owner // Matrix
	erika, max push.Owner // Fachdienst
}

func setup(t *testing.T, change ...func(*pusher.FachdienstConfig)) bundle {
	t.Helper()
	berlin, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	config := pusher.DefaultFachdienstConfig()
	config.Channels = []pusher.ChannelConfig{
		{ID: "erp.task.activate"}, {ID: "erp.task.accept"}, {ID: "erp.communication.new", Default: pusher.ChannelEnabled},
	}
	for _, c := range change {
		c(&config)
	}
	config.Check(func(path, problem string) { t.Fatalf("%s: %s", path, problem) })
	b := bundle{
		store: &pushertest.Store{},
		alice: push.Owner{Realm: push.RealmMatrix, User: "@alice:example.org"},
		bob:   push.Owner{Realm: push.RealmMatrix, User: "@bob:example.org"},
		erika: push.Owner{Realm: push.RealmFachdienst, User: "kvnr:X110400001"},
		max:   push.Owner{Realm: push.RealmFachdienst, User: "kvnr:X110400002"},
	}
	b.Service = pusher.New(pusher.Options{
		Store: b.store, Fachdienst: config, Location: berlin,
		Now: func() time.Time { return time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC) },
	})
	return b
}

// matrixChange is a complete registration with a homeserver.
func matrixChange() pusher.Change {
	return pusher.Change{
		Kind:              push.NewText("http"),
		AppID:             push.NewText("com.example.app.ios"),
		Pushkey:           push.NewText("Xp/MzCt8/9DcSNE9cuiaoT5Ac55job3TdLSSmtmYl4A="),
		AppDisplayName:    push.NewText("Mat Rix"),
		DeviceDisplayName: push.NewText("iPhone 9"),
		Lang:              push.NewText("en"),
		Data:              push.Object(`{"url":"` + matrixURL + `"}`),
	}
}

// gematikChange is what the iOS app of E-Rezept registers (facts/gematik.md 3.6).
func gematikChange() pusher.Change {
	return pusher.Change{
		Kind:              push.NewText("http"),
		AppID:             push.NewText("de.gematik.erp4ios.eRezept.apns"),
		Pushkey:           push.NewText("00fc13adff785122b4ad28809a3420982341241421348097878e577c991de8f0"),
		AppDisplayName:    push.NewText("E-Rezept"),
		DeviceDisplayName: push.NewText("iPhone"),
		Lang:              push.NewText("de"),
		Data:              push.Object(`{"url":"` + gematikURL + `"}`),
		Encryption: &pusher.EncryptionChange{
			Method:         push.NewText("aes-hmac-sha256"),
			TimeISSCreated: push.NewText("2026-07"),
			ISS:            push.NewText(vectorISS),
			KeyID:          push.NewText("5EBB1486-7430-42C0-B9AA-B57CA6C90EA4"),
		},
	}
}

// with returns a complete change of the realm with something bent.
func with(change pusher.Change, bend func(*pusher.Change)) pusher.Change {
	if change.Encryption != nil {
		e := *change.Encryption
		change.Encryption = &e
	}
	bend(&change)
	return change
}

// requireError checks kind, code and the exact text that may leave the house.
func requireError(t *testing.T, err error, code, msg string) {
	t.Helper()
	var e *push.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, push.Invalid, e.Kind)
	require.Equal(t, code, e.Code)
	require.Equal(t, msg, e.Msg)
}
