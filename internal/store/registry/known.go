package registry

import (
	"sync"

	"github.com/pushgate/pushgate/internal/push"
)

// Known remembers what hashes stand for, which never changes: all that the last listing had. Looking each up in the
// database again every few seconds would take longer than that where there are ten thousand. The zero value knows nothing.
type Known[T any] struct {
	mu    sync.Mutex
	known map[push.Hash]T
}

// All returns what the hashes stand for and forgets all others; find is asked for those that are not known. A hash that
// find does not find is left out. What was found before an error stays known, so that the next listing gets further.
func (k *Known[T]) All(hashes []push.Hash, find func(push.Hash) (T, bool, error)) (map[push.Hash]T, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.known == nil {
		k.known = map[push.Hash]T{}
	}
	all := make(map[push.Hash]T, len(hashes))
	for _, h := range hashes {
		v, ok := k.known[h]
		if !ok {
			var err error
			if v, ok, err = find(h); err != nil {
				return nil, err
			}
		}
		if ok {
			all[h], k.known[h] = v, v
		}
	}
	k.known = all
	return all, nil
}
