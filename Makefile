# Everything is done with make: `make help` lists it. Settings are given as
# variables, e.g. `make run ENLACE_ADDR=127.0.0.1:9090`; ARGS are passed on as they are.

GO ?= go
ARGS ?=
IMAGE ?= enlace:latest
ARCH ?= arm64

GOFUMPT       := mvdan.cc/gofumpt@v0.12.0
GOLANGCI_LINT := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
LINTER        := .cache/bin/golangci-lint-v2.15.0

# The end-to-end tests that use nothing of a data folder.
ON_ENGINES := ^Test(Story|Connect|Messages|Send|Crash|Disconnect|Logout|Delete|WhatsApp|BadInput|Documents|Example|Fleet)

.DEFAULT_GOAL := help
.PHONY: help run demo engines build test test-engines lint template image push bench generate need-go need-cc

help: ## List what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: build ## Serve, and connect to WhatsApp itself
	@exec bin/enlace serve $(ARGS)

demo: build ## Serve, with a WhatsApp server of its own to try it on
	@exec bin/enlace demo $(ARGS)

engines: need-go ## Run stand-ins for AWS here (DynamoDB, SQS, KMS), and print the settings for them
	@$(GO) build -o .cache/bin/engines ./internal/engines/run
	@exec .cache/bin/engines

build: need-go ## Build the programs into bin/
	@$(GO) build -o bin/ ./cmd/...

test: need-go need-cc ## Run all tests, with the race detector
	$(GO) vet ./...
	$(GO) test -race ./...

test-engines: need-go ## Run all that connects and sends on those stand-ins, API and workers apart
	$(GO) test -count=1 -timeout 30m ./internal/e2e -shape engines -run '$(ON_ENGINES)' $(ARGS)

lint: need-go $(LINTER) ## Check the form: gofumpt, golangci-lint (with staticcheck), go.mod
	@out=$$($(GO) run $(GOFUMPT) -l .) || exit 1; \
	if [ -n "$$out" ]; then echo "not as gofumpt writes it (go run $(GOFUMPT) -w .):"; echo "$$out"; exit 1; fi
	$(LINTER) run --allow-parallel-runners
	$(GO) mod tidy -diff

$(LINTER):
	@mkdir -p $(@D)
	GOBIN=$(abspath $(@D)) $(GO) install $(GOLANGCI_LINT)
	@mv $(@D)/golangci-lint $@

template: need-go ## Check template.yaml, and build the function as sam deploys it
	@$(GO) build -o .cache/bin/tool ./internal/engines/tool
	.cache/bin/tool cfn-lint template.yaml
	.cache/bin/tool sam validate --lint
	.cache/bin/tool sam build

image: need-go ## Build the image IMAGE for machines of ARCH, with docker, podman or buildah
	GO="$(GO)" deploy/image.sh "$(IMAGE)" "$(ARCH)"

push: need-go ## The same, and push it to its registry
	GO="$(GO)" deploy/image.sh "$(IMAGE)" "$(ARCH)" push

bench: need-go ## Measure, and write docs/performance.md
	$(GO) run ./internal/bench -out docs/performance.md $(ARGS)

generate: need-go ## Write what is generated from the code: openapi/
	$(GO) generate ./...

need-go:
	@command -v $(GO) >/dev/null || { echo "Go 1.26 or newer is needed: https://go.dev/doc/install"; exit 1; }

need-cc:
	@command -v $$($(GO) env CC) >/dev/null || { echo "A C compiler is needed for the race detector: apt-get install gcc, or your system's"; exit 1; }
