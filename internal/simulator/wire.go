package simulator

import (
	"bytes"
	"encoding/json"
	"time"
	"unicode/utf8"
)

// In the control API a duration is text as Go spells it, "150ms", and a payload is text.

// span is a duration in JSON.
type span time.Duration

// MarshalText spells a duration.
func (d span) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads what MarshalText writes.
func (d *span) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	*d = span(v)
	return err
}

// strictly decodes JSON whose members must all be known.
func strictly(data []byte, to any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	return d.Decode(to)
}

type plainAnswer Answer

type wireAnswer struct {
	*plainAnswer
	Delay span `json:"delay,omitzero"`
}

// MarshalJSON spells the delay.
func (a Answer) MarshalJSON() ([]byte, error) {
	return json.Marshal(wireAnswer{(*plainAnswer)(&a), span(a.Delay)})
}

// UnmarshalJSON refuses members it does not know.
func (a *Answer) UnmarshalJSON(data []byte) error {
	w := wireAnswer{plainAnswer: (*plainAnswer)(a)}
	if err := strictly(data, &w); err != nil {
		return err
	}
	a.Delay = time.Duration(w.Delay)
	return nil
}

type plainConditions Conditions

type wireConditions struct {
	*plainConditions
	Latency   span `json:"latency,omitzero"`
	ClockSkew span `json:"clock_skew,omitzero"`
}

// MarshalJSON spells the durations.
func (c Conditions) MarshalJSON() ([]byte, error) {
	return json.Marshal(wireConditions{(*plainConditions)(&c), span(c.Latency), span(c.ClockSkew)})
}

// UnmarshalJSON refuses members it does not know.
func (c *Conditions) UnmarshalJSON(data []byte) error {
	w := wireConditions{plainConditions: (*plainConditions)(c)}
	if err := strictly(data, &w); err != nil {
		return err
	}
	c.Latency, c.ClockSkew = time.Duration(w.Latency), time.Duration(w.ClockSkew)
	return nil
}

type plainRules Rules

type wireRules struct {
	*plainRules
	TokenUpdateInterval span `json:"token_update_interval,omitzero"`
	AccessTokenLifetime span `json:"access_token_lifetime,omitzero"`
}

// MarshalJSON spells the durations.
func (r Rules) MarshalJSON() ([]byte, error) {
	return json.Marshal(wireRules{(*plainRules)(&r), span(r.TokenUpdateInterval), span(r.AccessTokenLifetime)})
}

// UnmarshalJSON refuses members it does not know.
func (r *Rules) UnmarshalJSON(data []byte) error {
	w := wireRules{plainRules: (*plainRules)(r)}
	if err := strictly(data, &w); err != nil {
		return err
	}
	r.TokenUpdateInterval, r.AccessTokenLifetime = time.Duration(w.TokenUpdateInterval), time.Duration(w.AccessTokenLifetime)
	return nil
}

type plainReceipt Receipt

type wireReceipt struct {
	*plainReceipt
	Payload       *string `json:"payload,omitempty"`
	PayloadBase64 []byte  `json:"payload_base64,omitempty"`
}

// MarshalJSON gives the payload byte for byte: as text, or in Base64 if it is not UTF-8.
func (r Receipt) MarshalJSON() ([]byte, error) {
	w := wireReceipt{plainReceipt: (*plainReceipt)(&r)}
	if utf8.Valid(r.Payload) && r.Payload != nil {
		w.Payload = new(string(r.Payload))
	} else {
		w.PayloadBase64 = r.Payload
	}
	return json.Marshal(w)
}

// UnmarshalJSON reads what MarshalJSON writes.
func (r *Receipt) UnmarshalJSON(data []byte) error {
	w := wireReceipt{plainReceipt: (*plainReceipt)(r)}
	if err := json.Unmarshal(data, &w); err != nil {
		return err
	}
	r.Payload = w.PayloadBase64
	if w.Payload != nil {
		r.Payload = []byte(*w.Payload)
	}
	return nil
}
