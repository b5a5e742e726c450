package monthkey

import (
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
)

// MaxSteps bounds StepTo: 100 years. A chain that is further behind was created by a clock that cannot be right, and
// stepping it must not cost more than a few milliseconds.
const MaxSteps = 1200

var (
	// ErrPast says that the wanted month lies before the generation: its key cannot be computed any more.
	ErrPast = errors.New("the month lies before the generation")
	// ErrTooFar says that the wanted month is more than MaxSteps away, or behind the end of the calendar.
	ErrTooFar = errors.New("the month is too far from the generation")
	// ErrNoKeys says that a zero ISS or Generation was used.
	ErrNoKeys = errors.New("no keys")
)

// Derive makes the first generation: the info of the first step is the month that the ISS was created in
// (time_iss_created), whatever month it is now.
func Derive(iss ISS, created Month) (Generation, error) {
	secret := iss.bytes.get()
	if secret == nil {
		return Generation{}, ErrNoKeys
	}
	if !created.Valid() {
		return Generation{}, ErrMonth
	}
	return expand(secret[:], created)
}

// Step makes the generation of the following month.
func (g Generation) Step() (Generation, error) {
	c := g.chain.get()
	if c == nil {
		return Generation{}, ErrNoKeys
	}
	next := g.month.Next()
	if !next.Valid() {
		return Generation{}, ErrTooFar
	}
	return expand(c.secret[:], next)
}

// StepTo steps month by month up to the wanted one (A_27160). The generation's own month gives g itself. A month before
// it is ErrPast; a sender whose clock is behind the app's then keeps using g.
func (g Generation) StepTo(month Month) (Generation, error) {
	switch d := month.Compare(g.month); {
	case g.IsZero():
		return Generation{}, ErrNoKeys
	case d < 0:
		return Generation{}, ErrPast
	case d > MaxSteps:
		return Generation{}, ErrTooFar
	}
	for g.month < month {
		next, err := g.Step()
		if err != nil {
			return Generation{}, err
		}
		g = next
	}
	return g, nil
}

// expand is one step: HKDF-SHA256, no salt, info yyyy-MM, 64 bytes (A_27158-01).
func expand(secret []byte, month Month) (Generation, error) {
	out, err := hkdf.Key(sha256.New, secret, nil, month.String(), KeysSize)
	if err != nil {
		return Generation{}, fmt.Errorf("derive the keys of a month: %w", err)
	}
	return RestoreGeneration(month, out)
}
