package pushgateway

import (
	"errors"
	"slices"

	"github.com/getkin/kin-openapi/openapi3"

	wire "github.com/pushgate/pushgate/gen/pushgateway"
	"github.com/pushgate/pushgate/internal/push"
)

// batchError is one of the three errors of batches that come after "Invalid data format", with what belongs to it.
type batchError struct {
	text    wire.BatchErrorText
	details wire.BatchErrorDetails
}

// Error returns the text that the contract fixes.
func (e *batchError) Error() string { return string(e.text) }

func (e *batchError) asError() error { return &push.Error{Kind: push.Invalid, Msg: e.Error(), Err: e} }

// batchRules are what the schema of a batch cannot say, because each rule has an error text of its own and they have an
// order: the schema first, then size, ids, notification size.
type batchRules struct {
	maxItems          int
	maxNotificationKB int
}

// liftBatchRules takes maxItems and uniqueItems out of the batch schemas and returns maxItems: the contract check would
// answer "Invalid data format" for them. Two equal items have equal ids, so comparing ids replaces uniqueItems.
func liftBatchRules(doc *openapi3.T) (maxItems int, err error) {
	for _, name := range []string{"BatchRequest", "EncryptedBatchRequest"} {
		ref := doc.Components.Schemas[name]
		if ref == nil || ref.Value.Properties["notifications"] == nil {
			return 0, errors.New("no schema " + name)
		}
		items := ref.Value.Properties["notifications"].Value
		if items.MaxItems == nil || maxItems != 0 && maxItems != int(*items.MaxItems) {
			return 0, errors.New(name + " must have the batch limit")
		}
		maxItems = int(*items.MaxItems)
		items.MaxItems, items.UniqueItems = nil, false
	}
	return maxItems, nil
}

// check returns the error that stands first in the contract's order, if any. sizes are the lengths of the items'
// notification objects in bytes.
func (r batchRules) check(items []item, sizes []int) error {
	if len(items) > r.maxItems {
		return (&batchError{wire.BatchErrorTextBatchSizeExceedsMaximumLimit, wire.BatchErrorDetails{MaxBatchSize: &r.maxItems}}).asError()
	}
	if twice := duplicates(items); len(twice) > 0 {
		return (&batchError{wire.BatchErrorTextDuplicateNotificationIDsInBatch, wire.BatchErrorDetails{DuplicateIds: &twice}}).asError()
	}
	for _, n := range sizes {
		if n > r.maxNotificationKB*kb {
			return (&batchError{wire.BatchErrorTextIndividualNotificationTooLarge, wire.BatchErrorDetails{MaxNotificationSizeKb: &r.maxNotificationKB}}).asError()
		}
	}
	return nil
}

// duplicates returns the ids that occur more than once, each once, in the order of the batch.
func duplicates(items []item) []string {
	seen := make(map[string]struct{}, len(items))
	var twice []string
	for _, it := range items {
		if _, ok := seen[it.id]; ok && !slices.Contains(twice, it.id) {
			twice = append(twice, it.id)
		}
		seen[it.id] = struct{}{}
	}
	return twice
}
