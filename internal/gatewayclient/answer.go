package gatewayclient

import (
	"encoding/json"

	wire "github.com/pushgate/pushgate/gen/client/pushgateway"
	"github.com/pushgate/pushgate/internal/dispatch"
	"github.com/pushgate/pushgate/internal/push"
)

// readResults reads the answer to a batch. Members that nothing is done with may be anything. What cannot be read of one
// result is left out, because its neighbours were taken and must not ring again: without an id nobody knows whom it is
// about, without a status its item is worth sending again, without a list nobody is rejected. Where nothing can be read
// the answer is broken.
func readResults(answer []byte) ([]dispatch.Result, bool) {
	var list []json.RawMessage
	if json.Unmarshal(objectOf(answer)["results"], &list) != nil || list == nil {
		return nil, false
	}
	out := make([]dispatch.Result, 0, len(list))
	for _, one := range list {
		members := objectOf(one)
		var id, word string
		var rejected []string
		if json.Unmarshal(members["id"], &id) != nil || id == "" {
			continue
		}
		_ = json.Unmarshal(members["status"], &word)
		if json.Unmarshal(members["rejected"], &rejected) != nil {
			rejected = nil // half a list is none
		}
		out = append(out, dispatch.Result{ID: id, Status: status(word), Rejected: pushkeys(rejected)})
	}
	return out, len(out) > 0 || len(list) == 0
}

// status reads the word; an unknown one means that the item is worth sending again.
func status(word string) dispatch.ResultStatus {
	switch wire.BatchResultStatus(word) {
	case wire.BatchResultStatusSuccess:
		return dispatch.ResultSuccess
	case wire.BatchResultStatusPartial:
		return dispatch.ResultPartial
	case wire.BatchResultStatusFailed:
		return dispatch.ResultFailed
	default:
		return dispatch.ResultFailed
	}
}

// readRejected reads a Matrix gateway's answer. Gateways also say {} and {"rejected":null} (facts/matrix-pushers.md 2.1).
func readRejected(answer []byte) ([]push.Pushkey, bool) {
	members := objectOf(answer)
	if members == nil {
		return nil, false
	}
	var rejected []string
	if list, there := members["rejected"]; there && json.Unmarshal(list, &rejected) != nil {
		return nil, false
	}
	return pushkeys(rejected), true
}

func pushkeys(list []string) []push.Pushkey {
	var out []push.Pushkey
	for _, k := range list {
		out = append(out, push.Pushkey(k))
	}
	return out
}

// objectOf returns the members of an object, nil for everything else. Names are compared as they are: a struct would
// take Rejected for rejected.
func objectOf(text []byte) map[string]json.RawMessage {
	var members map[string]json.RawMessage
	if json.Unmarshal(text, &members) != nil {
		return nil
	}
	return members
}
