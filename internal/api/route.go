package api

import (
	"net/url"

	"github.com/gin-gonic/gin"

	"github.com/pushgate/pushgate/internal/push"
)

// route is one mounted operation.
type route struct {
	engine    *Engine
	operation *operation
	group     Group
}

// prepare runs before the handler of an operation: who calls, then what they say.
func (r *route) prepare(c *gin.Context) {
	x := exchangeOf(c)
	x.route = r
	if !r.engine.pressure.enter(c.Request.Context()) {
		x.shed = true
		r.engine.fail(c, &push.Error{Kind: push.Limited, RetryAfter: pressureDelay})
		return
	}
	defer r.engine.pressure.leave()
	if err := unescapeParams(c); err != nil {
		r.engine.fail(c, err)
		return
	}
	if r.group.Authenticate != nil {
		identity, err := r.group.Authenticate(c.Request)
		if err != nil {
			r.engine.fail(c, err)
			return
		}
		x.identity = identity
	}
	held, err := r.check(c, x)
	x.bytes = held
	defer r.engine.budget.release(held)
	if err != nil {
		r.engine.fail(c, err)
		return
	}
	c.Next()
}

// unescapeParams decodes path parameters, whose slashes Gin needs escaped to find the route.
func unescapeParams(c *gin.Context) error {
	for i := range c.Params {
		value, err := url.PathUnescape(c.Params[i].Value)
		if err != nil {
			return &push.Error{Kind: push.Invalid, Code: "M_INVALID_PARAM", Msg: "A path parameter is not valid."}
		}
		c.Params[i].Value = value
	}
	return nil
}
