package monthkey

import (
	"bytes"
	"encoding/binary"
	"errors"
)

const (
	frameMagic  = "PNM1"
	frameHeader = len(frameMagic) + 2 // the length of the padding, unsigned, big endian
	framePad    = ' '

	// FrameSize is the length in bytes of every frame that a sender makes: the size of a message must not show (A_27610).
	FrameSize = 1024
	// MaxMessage is the longest message in bytes.
	MaxMessage = FrameSize - frameHeader
)

var (
	// ErrTooLong marks a message of more than MaxMessage bytes.
	ErrTooLong = errors.New("the message does not fit into a frame")
	// ErrFrame marks bytes that are not a frame.
	ErrFrame = errors.New("not a frame")
)

// Frame pads a message to exactly FrameSize bytes: PNM1, the length of the padding, that many blanks, the message.
func Frame(message []byte) ([]byte, error) {
	padding := MaxMessage - len(message)
	if padding < 0 {
		return nil, ErrTooLong
	}
	frame := make([]byte, 0, FrameSize)
	frame = append(frame, frameMagic...)
	frame = binary.BigEndian.AppendUint16(frame, uint16(padding)) // 0 to 1018
	frame = append(frame, bytes.Repeat([]byte{framePad}, padding)...)
	return append(frame, message...), nil
}

// Unframe returns the message of a frame. As a receiver must, it accepts every length of padding that fits (a frame may
// be shorter or longer than FrameSize) and does not look at the padding itself. The result shares frame's memory.
func Unframe(frame []byte) ([]byte, error) {
	rest, ok := bytes.CutPrefix(frame, []byte(frameMagic))
	if !ok || len(frame) < frameHeader {
		return nil, ErrFrame
	}
	padding := int(binary.BigEndian.Uint16(rest))
	rest = rest[2:]
	if padding > len(rest) {
		return nil, ErrFrame
	}
	return rest[padding:], nil
}
