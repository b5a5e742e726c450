package arch

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// outside says that a third-party system lives in one package.
type outside struct {
	prefix string   // import path or its beginning
	homes  []string // folders that may import it
	why    string
}

var outsideRules = []outside{
	{"github.com/gin-gonic/gin", []string{"internal/api", "gen", "internal/bench"}, "only the edge knows the web framework"},
	{"github.com/getkin/kin-openapi", []string{"internal/api", "gen"}, "only the edge checks the contract"},
	{"database/sql", []string{"internal/store"}, "SQL lives in the store"},
	{"github.com/jackc/pgx", []string{"internal/store"}, "SQL lives in the store"},
	{"modernc.org/sqlite", []string{"internal/store"}, "SQL lives in the store"},
	{"github.com/pressly/goose", []string{"internal/store"}, "migrations live in the store"},
	{"github.com/sideshow/apns2", []string{"internal/provider/apns", "internal/bench"}, "each SDK lives in its provider (the bench measures the bare SDK)"},
	{"firebase.google.com/go", []string{"internal/provider/fcm", "internal/bench"}, "each SDK lives in its provider (the bench measures the bare SDK)"},
	{"github.com/SherClockHolmes/webpush-go", []string{"internal/provider/webpush"}, "each SDK lives in its provider"},
	{"github.com/prometheus", []string{"internal/ops"}, "metrics are made in one place"},
	{"github.com/golang-jwt/jwt/v5", []string{"internal/auth"}, "tokens of callers are read in one place"},
	{"github.com/sony/gobreaker", []string{"internal/gateway"}, "retry and breaking live in one layer"},
	{"go.yaml.in/yaml", []string{"internal/config", "internal/auth", "internal/cli"}, "the configuration is read in one place (and the tokens file, and foreign files to import)"},
	{module + "/gen/", []string{"internal/api", "internal/gatewayclient", "internal/cli", "internal/e2e", "internal/bench"}, "generated types stop at the edge"},
}

// layer forbids a folder to import others of our own.
type layer struct {
	dir    string
	may    []string // the only own packages it may import; nil means none
	except []string // folders below dir that have a row of their own
	why    string
}

var vocabulary = []string{"internal/push", "internal/backoff", "internal/monthkey"}

var layers = []layer{
	{dir: "internal/push", why: "the vocabulary stands on the standard library only"},
	{dir: "internal/backoff", why: "vocabulary"},
	{dir: "internal/monthkey", why: "vocabulary"},
	{dir: "internal/simulator", why: "a simulator that shares code with the providers proves nothing"},
	{dir: "internal/gateway", may: append([]string{"internal/provider"}, vocabulary...), why: "business does not know edges or state"},
	{dir: "internal/pusher", may: append([]string{"internal/pusher"}, vocabulary...), why: "business does not know edges or state"},
	{dir: "internal/dispatch", may: append([]string{"internal/pusher"}, vocabulary...), why: "business does not know edges or state"},
	{dir: "internal/provider", may: append([]string{"internal/provider", "internal/egress"}, vocabulary...), why: "a provider knows its push service and nothing else of ours"},
	{dir: "internal/api", may: append([]string{"internal/api", "internal/pusher", "internal/dispatch", "internal/auth", "gen"}, vocabulary...), why: "the edge translates, it does not store or send"},
	{dir: "internal/store", may: append([]string{"internal/store", "internal/pusher", "internal/dispatch"}, vocabulary...), why: "state implements the ports of business"},
	{dir: "internal/gatewayclient", may: append([]string{"internal/dispatch", "internal/egress", "gen/client"}, vocabulary...), why: "it carries out what dispatch decides"},
	{dir: "internal/admin", may: vocabulary, why: "an edge knows the vocabulary only"},
	{dir: "internal/egress", may: vocabulary, why: "an edge knows the vocabulary only"},
	{dir: "internal/mtls", may: vocabulary, why: "an edge knows the vocabulary only"},
	{dir: "internal/auth", may: vocabulary, why: "an edge knows the vocabulary only"},
}

func TestImports_ThirdPartySystemsLiveInOneRoom(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		if s.test || s.dir == "." {
			continue
		}
		for _, imp := range s.imports {
			for _, r := range outsideRules {
				if strings.HasPrefix(imp, r.prefix) && !within(s.dir, r.homes...) {
					t.Errorf("%s imports %s: %s", s.path, imp, r.why)
				}
			}
		}
	}
}

func TestImports_PointDown(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		for _, l := range layers {
			if !within(s.dir, l.dir) {
				continue
			}
			for _, imp := range s.imports {
				own, ok := strings.CutPrefix(imp, module+"/")
				if !ok || own == s.dir || within(own, l.may...) || within(own, l.dir) && !within(own, l.except...) {
					continue
				}
				t.Errorf("%s imports %s: %s", s.path, own, l.why)
			}
		}
	}
}

func TestImports_VocabularyIsStandardLibraryOnly(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		if s.test || !within(s.dir, vocabulary...) {
			continue
		}
		for _, imp := range s.imports {
			first, _, _ := strings.Cut(imp, "/")
			require.Falsef(t, strings.Contains(first, ".") && !strings.HasPrefix(imp, module), "%s imports %s: the vocabulary stands on the standard library only", s.path, imp)
		}
	}
}

func TestImports_TestsRequire(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		require.NotContainsf(t, s.imports, "github.com/stretchr/testify/assert", "%s: a failed assertion must stop the test, use require", s.path)
	}
}
