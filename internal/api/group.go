package api

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/gin-gonic/gin"
)

// API is one contract with its handlers.
type API struct {
	Name string // for start-up errors
	// Contract is the OpenAPI 3.1 document. The engine validates it and keeps it; nobody may change it afterwards.
	Contract *openapi3.T
	// BasePath is what Register puts before the contract's paths, such as /_matrix/client/v3. Usually empty.
	BasePath string
	// Groups are the rules for the operations of each tag. An operation whose tag is not here is not served.
	Groups map[string]Group
	// Strays is about requests below the API's paths that are none of its operations. Usually empty.
	Strays Strays
	// Register calls the generated RegisterHandlersWithOptions with the doors of this package.
	Register func(gin.IRouter)
}

// Group is what the operations of one tag have in common.
type Group struct {
	// Style picks the column of the table from push.Kind to status.
	Style Style
	// Render returns the body of a failure, ready for encoding/json.
	Render func(Failure) any
	// Authenticate says who calls, before anything of the body is read. What it returns is there for the handler through
	// Identity. Its error is rendered as any other. Nil lets everybody in.
	Authenticate func(*http.Request) (any, error)
	// HeadAsGet answers HEAD wherever there is a GET. Otherwise it is an unknown method.
	HeadAsGet bool
	// Refine may change a failure before it is rendered, for statuses and codes that only one API has. Nil changes nothing.
	Refine func(*Failure)
	// AnyContentType accepts bodies of every Content-Type as JSON, as the Matrix APIs do.
	AnyContentType bool
	// MaxBodyBytes is the largest body that is read. Zero is 1 MiB.
	MaxBodyBytes int64
}

const defaultMaxBodyBytes = 1 << 20

// mountRouter stands between generated registration code and Gin: it puts route.prepare before each handler and leaves
// out operations that are not served.
type mountRouter struct {
	gin.IRouter
	engine     *Engine
	api        API
	operations map[string]*operation
	problems   []error
}

// The methods that generated code calls.

// GET mounts a GET operation.
func (m *mountRouter) GET(path string, h ...gin.HandlerFunc) gin.IRoutes {
	return m.Handle(http.MethodGet, path, h...)
}

// POST mounts a POST operation.
func (m *mountRouter) POST(path string, h ...gin.HandlerFunc) gin.IRoutes {
	return m.Handle(http.MethodPost, path, h...)
}

// PUT mounts a PUT operation.
func (m *mountRouter) PUT(path string, h ...gin.HandlerFunc) gin.IRoutes {
	return m.Handle(http.MethodPut, path, h...)
}

// DELETE mounts a DELETE operation.
func (m *mountRouter) DELETE(path string, h ...gin.HandlerFunc) gin.IRoutes {
	return m.Handle(http.MethodDelete, path, h...)
}

// Handle mounts one operation.
func (m *mountRouter) Handle(method, path string, h ...gin.HandlerFunc) gin.IRoutes {
	own, ok := strings.CutPrefix(path, m.api.BasePath)
	op := m.operations[method+" "+contractPath(own)]
	if !ok || op == nil {
		m.problems = append(m.problems, fmt.Errorf("%s %s is not in the contract", method, path))
		return m
	}
	group, served := m.api.Groups[op.tag]
	if !served {
		return m
	}
	if group.Render == nil {
		m.problems = append(m.problems, errors.New("group "+op.tag+" cannot render errors"))
		return m
	}
	if group.MaxBodyBytes == 0 {
		group.MaxBodyBytes = defaultMaxBodyBytes
	}
	r := &route{engine: m.engine, operation: op, group: group}
	m.IRouter.Handle(method, path, append([]gin.HandlerFunc{r.prepare}, h...)...)
	if method == http.MethodGet && group.HeadAsGet {
		m.IRouter.Handle(http.MethodHead, path, append([]gin.HandlerFunc{r.prepare}, h...)...) // net/http drops the body
	}
	return m
}

// contractPath turns Gin's /a/:b into the contract's /a/{b}.
func contractPath(path string) string {
	parts := strings.Split(path, "/")
	for i, p := range parts {
		if name, ok := strings.CutPrefix(p, ":"); ok {
			parts[i] = "{" + name + "}"
		}
	}
	return strings.Join(parts, "/")
}
