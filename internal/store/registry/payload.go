package registry

import (
	"encoding/binary"
	"fmt"

	"github.com/pushgate/pushgate/internal/store/keyring"
)

const tableOutbox = "outbox"

// SealPayload seals what an outbox row carries, for its pusher and the time it was accepted at.
func (c Codec) SealPayload(k Key, accepted int64, plain []byte) []byte {
	return c.Sealer.Seal(k.payloadPlace(accepted), plain)
}

// OpenPayload is the way back of SealPayload.
func (c Codec) OpenPayload(k Key, accepted int64, sealed []byte) ([]byte, error) {
	plain, err := c.Sealer.Open(k.payloadPlace(accepted), sealed)
	if err != nil {
		return nil, fmt.Errorf("open a payload: %w", err)
	}
	return plain, nil
}

func (k Key) payloadPlace(accepted int64) keyring.Place {
	p := k.place(tableOutbox, "payload")
	p.Row = append(binary.BigEndian.AppendUint64(nil, uint64(accepted)), p.Row...)
	return p
}
