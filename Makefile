# Latchkey. `make test` is the one that counts: it installs what the tests need
# and runs everything. The rest are parts of it, or slower forms.
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -ec
.DEFAULT_GOAL := help

BUF      := github.com/bufbuild/buf/cmd/buf@v1.75.0
GEN_GO   := google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.12
GEN_CONN := connectrpc.com/connect/cmd/protoc-gen-connect-go@v1.21.1
LINT     := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
STATIC   := honnef.co/go/tools/cmd/staticcheck@v0.8.2
TOOLS    := $(CURDIR)/tmp/bin
COUNT    := $(CURDIR)/tmp/count
FUZZTIME ?= 5s

.PHONY: help test deps race packages world beside vectors web web-test e2e dist-check fuzz bench soak incidents incidents-bite check generate lint clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

test: deps ## everything: Go with -race, web, vectors in both languages, browser stories
	@mkdir -p tmp && rm -f $(COUNT)
	$(MAKE) --no-print-directory check
	@# Most of what Go's tests do is wait for cameras: something else has room beside them.
	$(MAKE) --no-print-directory -j2 packages beside
	$(MAKE) --no-print-directory world e2e
	@awk '{p+=$$1; f+=$$2; s+=$$3} END {printf "%d passed, %d failed, %d skipped\n", p, f, s; exit (f>0||p==0)}' $(COUNT)

deps: ## Debian packages and npm packages that the tests need
	@./tools/deps.sh

race: packages world ## Go tests with the race detector

packages:
	@mkdir -p tmp
	go test -race -json -timeout 30m $$(go list ./... | grep -v /internal/world) | go run ./tools/testsum -count $(COUNT)

world: # real processes with full disks and cut lines: not beside anything else
	@mkdir -p tmp
	go test -race -json -timeout 30m ./internal/world/... | go run ./tools/testsum -count $(COUNT)

beside:
	$(MAKE) --no-print-directory web-test
	$(MAKE) --no-print-directory dist-check
	$(MAKE) --no-print-directory fuzz FUZZTIME=2s
	$(MAKE) --no-print-directory incidents-bite ID="IRT-06 IRT-10 IRT-21"
	@# What the race detector is too slow for: every key on everything that a server has.
	go test -json -timeout 10m -run '^TestIRTWholeServer$$' ./cmd/latchkey | go run ./tools/testsum -count $(COUNT)

web-test: ## TypeScript: types, lint, unit tests, vectors
	@mkdir -p tmp
	cd web && npm run --silent check && npm run --silent lint
	cd web && npx vitest run --reporter=default --reporter=json --outputFile=$(CURDIR)/tmp/vitest.json
	@node tools/vitestcount.mjs tmp/vitest.json $(COUNT)

dist-check: ## web/dist is what the sources build, byte for byte
	@./tools/dist-check.sh

e2e: ## browser stories in real Chromium
	@mkdir -p tmp/bin
	go build -o tmp/bin/latchkey ./cmd/latchkey
	cd web && LATCHKEY_BIN=$(CURDIR)/tmp/bin/latchkey npx vitest run --config e2e/vitest.config.ts --reporter=default --reporter=json --outputFile=$(CURDIR)/tmp/e2e.json
	@node tools/vitestcount.mjs tmp/e2e.json $(COUNT)

web: ## build web/dist
	cd web && npx vite build

fuzz: ## every fuzz target for FUZZTIME each
	@./tools/fuzz.sh $(FUZZTIME)

bench: ## the ratios of docs/performance.md
	@./tools/bench.sh

soak: ## long faults: kills, power cuts, a server away for ten minutes (LATCHKEY_SOAK=50 rounds)
	LATCHKEY_SOAK=$${LATCHKEY_SOAK:-50} go test -timeout 60m -run 'Kill|PowerCut|ServerGone' -v ./internal/world/...

incidents: ## replay what happened to other camera companies: held, broken or pending (ID="IRT-03 IRT-06")
	go run ./tools/incidents $(ID)

incidents-bite: ## switch each of those protections off: its test has to fail (ID="IRT-03 IRT-06")
	go run ./tools/incidents -bite $(ID)

check: ## formatting and vet
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { echo "not gofmt-clean:"; gofmt -l $$(git ls-files '*.go'); exit 1; }
	go vet ./...

lint: ## golangci-lint and staticcheck, pinned
	@mkdir -p $(TOOLS)
	GOBIN=$(TOOLS) go install $(LINT)
	GOBIN=$(TOOLS) go install $(STATIC)
	$(TOOLS)/golangci-lint run ./...
	$(TOOLS)/staticcheck ./...

generate: ## API code, vectors, scenes
	@mkdir -p $(TOOLS)
	GOBIN=$(TOOLS) go install $(BUF)
	GOBIN=$(TOOLS) go install $(GEN_GO)
	GOBIN=$(TOOLS) go install $(GEN_CONN)
	PATH=$(TOOLS):$$PATH buf generate
	go generate ./testkit/... ./internal/home/camera/scenes

clean: ## what the targets above left behind
	rm -rf tmp
