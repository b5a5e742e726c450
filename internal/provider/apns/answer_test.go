package apns

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// response is an answer as net/http hands it over.
func response(status int, body, retryAfter string) *http.Response {
	res := &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}
	if retryAfter != "" {
		res.Header.Set("Retry-After", retryAfter)
	}
	return res
}

func TestReadAnswer(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status int
		body   string
		want   answer
	}{
		"dead":                            {410, `{"reason":"Unregistered","timestamp":1763627400123}`, answer{reason: "Unregistered", timestamp: time.UnixMilli(1763627400123)}},
		"dead without a time":             {410, `{"reason":"Unregistered"}`, answer{reason: "Unregistered"}},
		"with space and other members":    {400, " {\n\"x\": [1], \"reason\" : \"BadTopic\" } ", answer{reason: "BadTopic"}},
		"empty":                           {400, "", answer{}},
		"page":                            {410, "<html>Unregistered</html>", answer{}},
		"reason is no text":               {410, `{"reason":7}`, answer{}},
		"reason of another name":          {410, `{"Reason":"Unregistered"}`, answer{}},
		"no reason":                       {410, `{"timestamp":1}`, answer{}},
		"time as text is not Apple":       {410, `{"reason":"Unregistered","timestamp":"1763627400123"}`, answer{}},
		"time as fraction is not Apple":   {410, `{"reason":"Unregistered","timestamp":1.7e12}`, answer{}},
		"negative time is not Apple":      {410, `{"reason":"Unregistered","timestamp":-1}`, answer{}},
		"overflowing time is not Apple":   {410, `{"reason":"Unregistered","timestamp":99999999999999999999}`, answer{}},
		"null time is not Apple":          {410, `{"reason":"Unregistered","timestamp":null}`, answer{}},
		"trailing text":                   {410, `{"reason":"Unregistered"} x`, answer{}},
		"list":                            {410, `[{"reason":"Unregistered"}]`, answer{}},
		"null":                            {410, `null`, answer{}},
		"endless reason":                  {410, `{"reason":"` + strings.Repeat("x", 65) + `"}`, answer{}},
		"too long to be Apple":            {410, `{"reason":"Unregistered","x":"` + strings.Repeat("x", maxAnswer) + `"}`, answer{}},
		"the body cannot take back a 200": {200, `{"reason":"Unregistered"}`, answer{}},
		"status in the body is ignored":   {410, `{"StatusCode":200,"reason":"Unregistered"}`, answer{reason: "Unregistered"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.want.status = test.status
			require.Equal(t, test.want, readAnswer(response(test.status, test.body, ""), testNow))
		})
	}
}

// endless is a body that never ends.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) { e.read += len(p); return len(p), nil }
func (e *endless) Close() error               { return nil }

func TestReadAnswer_ReadsALittleOnly(t *testing.T) {
	t.Parallel()
	body := &endless{}
	readAnswer(&http.Response{StatusCode: 400, Header: http.Header{}, Body: body}, testNow)
	require.Less(t, body.read, 64<<10)
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]time.Duration{
		"":                              0,
		"0":                             0,
		"17":                            17 * time.Second,
		"86400":                         24 * time.Hour,
		"86401":                         24 * time.Hour,
		"315360000":                     24 * time.Hour, // ten years
		"99999999999999999999999999999": 24 * time.Hour,
		"-5":                            0,
		"1.5":                           0,
		"soon":                          0,
		testNow.Add(90 * time.Second).Format(http.TimeFormat): 90 * time.Second,
		testNow.Add(-time.Hour).Format(http.TimeFormat):       0,
		testNow.AddDate(10, 0, 0).Format(http.TimeFormat):     24 * time.Hour,
	} {
		require.Equal(t, want, retryAfter(value, testNow), value)
	}
}
