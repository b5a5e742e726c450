# pushgate. `make run` starts everything against simulators, `make test` passes the tests; both need only Go, make and git.
.DEFAULT_GOAL := help
.PHONY: help generate verify fmt build run test race lint vuln e2e faults bench pgo bench-check fuzz webpush-browser matrix-js-sdk clean

GO ?= go
# The shipped binary is compiled with the profile in cmd/pushgate, which saves a tenth of its CPU time. Everything else is
# compiled without, or every library would be compiled twice.
export GOFLAGS := -pgo=off $(GOFLAGS)
BIN := $(CURDIR)/bin
GOLANGCI_VERSION := v2.15.0
GOVULNCHECK_VERSION := v1.1.4
FUZZTIME ?= 20s
APIS := push-gateway client-server client-fd notification-service
OAPI := $(GO) run github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen

help: ## Show this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  %-15s %s\n", $$1, $$2}'

generate: ## Make gen/ from openapi/ (types, Gin servers, clients)
	@for api in $(APIS); do \
		test -f openapi/$$api.yaml || continue; pkg=$$(echo $$api | tr -d -); \
		mkdir -p gen/$$pkg gen/client/$$pkg; \
		$(OAPI) -config openapi/$$api.server.yaml openapi/$$api.yaml || exit 1; \
		$(OAPI) -config openapi/$$api.client.yaml openapi/$$api.yaml || exit 1; \
	done

fmt: ## Format the hand-written Go files
	gofmt -w cmd internal tools.go

verify: ## Prove that gen/ and go.mod are up to date and the tree is formatted and vetted
	rm -rf gen && $(MAKE) --no-print-directory generate
	$(GO) mod tidy -diff
	@out=$$(gofmt -l cmd internal tools.go); test -z "$$out" || { echo "not formatted: $$out"; exit 1; }
	git diff --exit-code
	@out=$$(git status --porcelain -- gen); test -z "$$out" || { echo "not committed: $$out"; exit 1; }
	$(GO) vet ./...

# nomsgpack leaves out a codec of Gin that nobody here speaks: 6 MB.
build: ## Build bin/pushgate, static
	CGO_ENABLED=0 $(GO) build -pgo=auto -trimpath -ldflags='-s -w' -tags nomsgpack -o $(BIN)/pushgate ./cmd/pushgate

run: ## Start pushgate with simulators; paste a curl line that it prints
	@echo 'building (the first time takes a minute or two) ...'
	@$(GO) build -buildvcs=false -o $(BIN)/pushgate-dev ./cmd/pushgate && exec $(BIN)/pushgate-dev dev

test: ## Run the tests
	$(GO) test -timeout 15m ./...

# Not those that start processes, which are built without the detector, nor the APIs' suites over real stores, whose parts
# have tests of their own here: they would take a third of the time.
race: ## Run the tests under the race detector (needs a C compiler)
	$(GO) test -race -short -timeout 20m $$($(GO) list ./... | grep -vE '/(gen|e2e|arch|bench|client[a-z]+test)(/|$$)')

lint: ## Run golangci-lint at the pinned version (installed into bin/)
	@test -x $(BIN)/golangci-lint && $(BIN)/golangci-lint version 2>/dev/null | grep -q '$(GOLANGCI_VERSION:v%=%)' || \
		GOBIN=$(BIN) GOFLAGS=-mod=mod $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)
	$(BIN)/golangci-lint run ./...

vuln: ## Check dependencies against the Go vulnerability database (needs network)
	$(GO) run golang.org/x/vuln/cmd/govulncheck@$(GOVULNCHECK_VERSION) ./...

bench: ## Measure CPU per notification against a bare sender in the same run (ratios), and the sending side
	$(GO) run ./internal/bench
	$(GO) test -count=1 -tags numbers -v -run TestSend_Numbers ./internal/e2e

pgo: ## Profile the bench and renew cmd/pushgate/default.pgo, which the compiler reads
	$(GO) run ./internal/bench -seconds 10 -pgo cmd/pushgate/default.pgo

bench-check: ## A short bench: fail when a ratio is 25 % over the committed one
	$(GO) run ./internal/bench -short -seconds 3 -check internal/bench/ratios.txt

e2e: ## Run the whole-process tests only
	$(GO) test -count=1 -timeout 15m -v ./internal/e2e/...

webpush-browser: ## Send to keys that a real headless Chromium made, and let it decrypt (needs chromium)
	$(GO) test -count=1 -timeout 10m -tags browser -run TestChromium ./internal/e2e

faults: ## Run the whole fault matrix on both stores and print it as a table (about 40 minutes)
	FAULTS=full $(GO) test -count=1 -timeout 75m -v -run '^TestFaults$$' ./internal/e2e/faults
	FAULTS=full $(GO) test -count=1 -timeout 20m -v -run '^TestSend_KillsLoseNothing$$' ./internal/e2e

fuzz: ## Run every fuzz target for FUZZTIME each
	@for pkg in $$($(GO) list ./internal/...); do \
		for f in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
			echo "$$pkg $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) $$pkg || exit 1; \
		done; \
	done

matrix-js-sdk: ## Drive the pushers API with matrix-js-sdk (needs Node.js and npm)
	cd internal/e2e/jssdk && npm ci --no-audit --no-fund
	$(GO) test -count=1 -tags jssdk -run TestJSSDK -v ./internal/e2e

clean: ## Remove what make built
	rm -rf $(BIN)
