package auth

import (
	"errors"
	"fmt"
	"io"
	"net/http"
)

// answer is what came back, read to its end.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// exchange sends a request and reads at most limit bytes of the answer; a longer one is an error.
func exchange(client *http.Client, req *http.Request, limit int64) (answer, error) {
	resp, err := client.Do(req)
	if err != nil {
		return answer{}, fmt.Errorf("send the request: %w", err)
	}
	defer resp.Body.Close() //nolint:errcheck // nothing was written
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return answer{}, fmt.Errorf("read the answer: %w", err)
	}
	if int64(len(body)) > limit {
		return answer{}, errors.New("the answer is too long")
	}
	return answer{status: resp.StatusCode, header: resp.Header, body: body}, nil
}
