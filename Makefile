# docker gpu. `make run` shows the machine you are on; `make test` is everything that CI checks.
export CGO_CFLAGS := -Wno-deprecated-declarations
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)
PLUGINS := $(or $(DOCKER_CONFIG),$(HOME)/.docker)/cli-plugins

.PHONY: run demo build static install test lint

build:
	go build -trimpath -ldflags "$(LDFLAGS)" -o bin/docker-gpu ./cmd/docker-gpu

static:
	CGO_ENABLED=0 go build -trimpath -ldflags "$(LDFLAGS)" -o bin/docker-gpu-static ./cmd/docker-gpu

run: build
	@if command -v docker >/dev/null 2>&1; then \
		config=$$(mktemp -d) && mkdir $$config/cli-plugins && ln -s $(CURDIR)/bin/docker-gpu $$config/cli-plugins/ && \
		{ cp "$(or $(DOCKER_CONFIG),$(HOME)/.docker)/config.json" $$config/ 2>/dev/null; true; } && \
		DOCKER_CONFIG=$$config docker gpu status; code=$$?; rm -r $$config; exit $$code; \
	else bin/docker-gpu status; fi

demo: build
	bin/docker-gpu status --from examples/snapshots/eight-gpus.json

install: build
	install -D -m 755 bin/docker-gpu $(PLUGINS)/docker-gpu

lint:
	@test -z "$$(gofmt -l cmd plugin inspect fixes)" || { gofmt -l cmd plugin inspect fixes; exit 1; }
	go vet ./...

test: lint
	go test -race ./...
	CGO_ENABLED=0 go build -o /dev/null ./cmd/docker-gpu
	GOOS=darwin CGO_ENABLED=0 go build -o /dev/null ./cmd/docker-gpu
	GOOS=windows CGO_ENABLED=0 go build -o /dev/null ./cmd/docker-gpu
	@echo "end-to-end scenarios: 0 ran, the bench on real engines is not built yet"
