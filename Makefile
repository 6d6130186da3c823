# docker gpu. `make run` shows the machine you are on; `make test` is everything that CI checks.
SHELL := /bin/bash
export CGO_CFLAGS := -Wno-deprecated-declarations
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X github.com/docker-gpu/docker-gpu/plugin/announce.Version=$(VERSION)
GOFOLDERS := cmd plugin inspect fixes e2e packaging
PLUGINS := $(or $(DOCKER_CONFIG),$(HOME)/.docker)/cli-plugins
STATICCHECK := v0.8.2
NFPM := v2.45.2
GOVULNCHECK := v1.9.0
ARCHS ?= amd64 arm64

.PHONY: feature pictures vuln run demo build static package install lint test test-gpu unit fuzz soak platforms e2e bench-setup bench help

help: ## this list
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' Makefile | expand -t 14

run: build ## build, and show the truth about this machine
	@if command -v docker >/dev/null 2>&1; then \
		config=$$(mktemp -d) && mkdir $$config/cli-plugins && ln -s $(CURDIR)/bin/docker-gpu $$config/cli-plugins/ && \
		{ cp "$(or $(DOCKER_CONFIG),$(HOME)/.docker)/config.json" $$config/ 2>/dev/null; true; } && \
		{ ln -s "$(or $(DOCKER_CONFIG),$(HOME)/.docker)/contexts" $$config/contexts 2>/dev/null; true; } && \
		DOCKER_CONFIG=$$config docker gpu status; code=$$?; rm -r $$config; exit $$code; \
	else bin/docker-gpu status; fi

demo: build ## the same on an example machine of eight GPUs, and live on the fake driver
	@e2e/demo.sh bin/docker-gpu

# The module file of all that is shipped: packaging/startup says what it changes, and why.
STARTUP := bin/startup/go.mod
$(STARTUP): go.mod go.sum packaging/startup/main.go
	go run ./packaging/startup -out $(dir $@)

build: $(STARTUP) ## bin/docker-gpu
	go build -modfile $(STARTUP) -trimpath -ldflags "$(LDFLAGS)" -o bin/docker-gpu ./cmd/docker-gpu

# grpcnotrace leaves out gRPC's page of traces, which nobody here can open, and the templates that it is made with.
static: $(STARTUP) ## bin/docker-gpu-static, without cgo and so without NVML, small: for containers of any libc
	CGO_ENABLED=0 go build -modfile $(STARTUP) -trimpath -tags container,grpcnotrace -gcflags=all=-l -ldflags "$(LDFLAGS)" -o bin/docker-gpu-static ./cmd/docker-gpu

package: $(STARTUP) ## deb and rpm in dist/ (amd64 with NVML by cgo, arm64 static; on arm64 the other way round)
	@mkdir -p dist/stage && rm -f dist/*.deb dist/*.rpm
	@for arch in $(ARCHS); do \
		cgo=0; [ $$arch != "$$(go env GOHOSTARCH)" ] || ! command -v gcc >/dev/null || cgo=1; \
		GOARCH=$$arch CGO_ENABLED=$$cgo go build -modfile $(STARTUP) -trimpath -buildvcs=false -ldflags "$(LDFLAGS)" -o dist/stage/docker-gpu-$$arch ./cmd/docker-gpu || exit 1; done
	@export SOURCE_DATE_EPOCH=$${SOURCE_DATE_EPOCH:-$$(git log -1 --format=%ct)}; \
	go run ./packaging -out dist/stage -version $(VERSION) -arch $$(echo $(ARCHS) | tr ' ' ,) || exit 1; \
	for arch in $(ARCHS); do for kind in deb rpm; do \
		go run github.com/goreleaser/nfpm/v2/cmd/nfpm@$(NFPM) package -f dist/stage/nfpm-$$arch.yaml -p $$kind -t dist/ || exit 1; done; done

feature: ## the static builds into the dev container feature of examples/devcontainer-feature
	for arch in $(ARCHS); do CGO_ENABLED=0 GOARCH=$$arch go build -trimpath -tags container,grpcnotrace -gcflags=all=-l -ldflags "$(LDFLAGS)" \
		-o examples/devcontainer-feature/docker-gpu/bin/docker-gpu-linux-$$arch ./cmd/docker-gpu || exit 1; done

install: build ## put the plugin into your docker CLI's plugin folder
	install -D -m 755 bin/docker-gpu $(PLUGINS)/docker-gpu

test: lint unit platforms e2e ## everything that CI checks

lint: ## gofmt, go vet, staticcheck, and golangci-lint where it is installed
	@bad=$$(gofmt -l $(GOFOLDERS)); [ -z "$$bad" ] || { echo "gofmt -w $$bad"; exit 1; }
	go vet ./... && go vet -tags e2e ./e2e && go vet -tags gpu ./e2e/gpu
	@if go mod download honnef.co/go/tools@$(STATICCHECK) 2>/dev/null; then \
		go run honnef.co/go/tools/cmd/staticcheck@$(STATICCHECK) -tags e2e ./...; \
	else echo "lint: staticcheck cannot be fetched here and is left out"; fi
	@if command -v golangci-lint >/dev/null; then golangci-lint run; else echo "lint: golangci-lint is not installed here and is left out"; fi

# These learn, score and match over ten thousand texts and share nothing: minutes, where the race detector watches each access.
UNWATCHED := ^Test(Wording(IsCurrent|Unseen)|MatcherOnTheTable|ShortTexts|Corpus\w*|Listings\w*|ExplainData|Guess\w*)$$
unit: ## the tests that need no engine
	GORACE=atexit_sleep_ms=0 go test -race -timeout 20m -skip '$(UNWATCHED)' ./...
	go test -timeout 20m -run '$(UNWATCHED)' ./fixes

FUZZTIME ?= 10m
fuzz: ## every fuzz target for FUZZTIME (10m), one after the other; RUN=PATTERN for some of them
	@grep -rn --include='*_test.go' '^func Fuzz$(RUN)' $(GOFOLDERS) | sed -E 's|^(.*)/[^/]*:[0-9]+:func (Fuzz[A-Za-z0-9]*).*|\1 \2|' | while read -r folder target; do \
		echo "== $$folder $$target"; go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x ./$$folder || exit 1; done

SOAK ?= 30m
soak: build ## top (in tmux) and exporter for SOAK (30m) with containers and processes that come and go: memory, threads, descriptors stay
	@go run ./e2e/soak -plugin bin/docker-gpu -for $(SOAK) -every $(if $(EVERY),$(EVERY),1m) -out soak.csv

platforms: ## the plugin builds without cgo, for containers, on macOS and on Windows
	CGO_ENABLED=0 go build -tags container,grpcnotrace -o /dev/null ./cmd/docker-gpu
	CGO_ENABLED=0 go build -o /dev/null ./cmd/docker-gpu
	GOOS=darwin CGO_ENABLED=0 go build -o /dev/null ./cmd/docker-gpu
	GOOS=windows CGO_ENABLED=0 go build -o /dev/null ./cmd/docker-gpu

e2e: bench-setup ## the scenarios on real engines; RUN=PATTERN for some of them
	@summary=$$(mktemp); E2E_SUMMARY=$$summary go test -tags e2e -count=1 -timeout 40m $(if $(RUN),-run 'TestScenarios/.*/$(RUN)') ./e2e; \
	code=$$?; cat $$summary; rm -f $$summary; exit $$code

pictures: bench-setup ## the pictures of README and docs anew, of real runs
	E2E_PICTURES=$(CURDIR)/docs/pictures go test -tags e2e -count=1 -run 'TestScenarios/.*/pictures' ./e2e

vuln: ## known vulnerabilities in what is called; VULNDB=file:///FOLDER for a copy of the database
	go run golang.org/x/vuln/cmd/govulncheck@$(GOVULNCHECK) $(if $(VULNDB),-db=$(VULNDB)) ./...

test-gpu: ## on a machine with an NVIDIA GPU: every figure against nvidia-smi of the same moment; keeps the Snapshot
	go test -tags gpu -count=1 -v ./e2e/gpu

bench-setup: ## lay what the scenarios need: Debian's packages (as root), engines, CLI and toolkit from the module proxy
	@e2e/setup.sh >/dev/null

bench: build static bench-setup ## figures of this machine against what users have today, as one table of ratios; WRITE=docs/performance.md
	@go run ./e2e/bench $(if $(WRITE),-write $(WRITE))
