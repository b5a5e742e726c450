package simulator

import (
	"errors"
	"fmt"

	"github.com/pushgate/pushgate/internal/simulator/jsonscan"
)

// apnsPayload is what the rules need to know of a payload ("Generating a remote notification").
type apnsPayload struct {
	scan *jsonscan.Scanner

	aps, mdm, contentAvailable bool
	visible                    bool // alert, badge or sound
}

func (p *apnsPayload) read() error {
	err := p.scan.Object(func(name []byte) error {
		switch string(name) {
		case "aps":
			p.aps = true
			return p.readAPS()
		case "mdm":
			p.mdm = true
			_, err := p.scan.Text()
			return err
		}
		return p.scan.Skip()
	})
	if err != nil {
		return err
	}
	return p.scan.End()
}

func (p *apnsPayload) readAPS() error {
	return p.scan.Object(func(name []byte) error {
		err := p.member(string(name))
		if err != nil {
			return fmt.Errorf("aps.%s: %w", name, err)
		}
		return nil
	})
}

func (p *apnsPayload) member(name string) error {
	switch name {
	case "alert":
		p.visible = true
		if p.scan.Kind() == jsonscan.Object {
			return p.alert()
		}
		_, err := p.scan.Text()
		return err
	case "badge":
		p.visible = true
		return whole(p.scan)
	case "sound":
		p.visible = true
		if p.scan.Kind() == jsonscan.Object {
			return p.scan.Skip()
		}
		_, err := p.scan.Text()
		return err
	case "content-available":
		on, err := flag(p.scan)
		p.contentAvailable = on
		return err
	case "mutable-content":
		_, err := flag(p.scan)
		return err
	case "thread-id", "category", "target-content-id", "filter-criteria":
		_, err := p.scan.Text()
		return err
	case "interruption-level":
		return level(p.scan)
	case "relevance-score":
		_, err := p.scan.Number()
		return err
	}
	return p.scan.Skip()
}

// alert reads the dictionary form.
func (p *apnsPayload) alert() error {
	return p.scan.Object(func(name []byte) error {
		switch string(name) {
		case "title", "subtitle", "body", "launch-image", "title-loc-key", "subtitle-loc-key", "loc-key", "action-loc-key", "summary-arg":
			if _, err := p.scan.Text(); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			return nil
		case "title-loc-args", "subtitle-loc-args", "loc-args":
			err := p.scan.Array(func() error {
				_, err := p.scan.Text()
				return err
			})
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			return nil
		}
		return p.scan.Skip()
	})
}

// whole reads an integer that is not negative.
func whole(s *jsonscan.Scanner) error {
	n, err := s.Number()
	if err == nil && !digits(string(n)) {
		err = errors.New("not a whole number")
	}
	return err
}

// flag reads 0 or 1: Apple takes no booleans here.
func flag(s *jsonscan.Scanner) (bool, error) {
	n, err := s.Number()
	if err == nil && string(n) != "0" && string(n) != "1" {
		err = errors.New("neither 0 nor 1")
	}
	return err == nil && n[0] == '1', err
}

func level(s *jsonscan.Scanner) error {
	v, err := s.Text()
	if err != nil {
		return err
	}
	switch string(v) {
	case "passive", "active", "time-sensitive", "critical":
		return nil
	}
	return errors.New("not an interruption level")
}
