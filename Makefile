# Everything a developer does, and all that continuous integration does, is a target here. `make help` lists them.

# Tools that run but are not part of the product, each at one version. The programs of the real node, promtool, pint and
# the Prometheus of the tests are pinned with all that they are built from, each in a go.mod below e2e.
STATICCHECK_VERSION := v0.8.2
GOTESTSUM_VERSION   := v1.13.0
PROMTOOL_VERSION    := $(shell awk '$$1 == "require" && $$2 == "github.com/prometheus/prometheus" { print $$3 }' e2e/prometheus/go.mod)
PINT_VERSION        := $(shell awk '$$1 == "require" && $$2 == "github.com/cloudflare/pint" { print $$3 }' e2e/pint/go.mod)

SHELL       := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
GO          := go
export GOWORK := off
# The version comes from LDFLAGS; a clone that belongs to somebody else shall build too.
export GOFLAGS := $(strip $(GOFLAGS) -buildvcs=false)

# Programs that are built once and kept: promtool and pint here, those of the node by e2e/programs.
CACHE    := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/staticpod-exporter/bin
PROMTOOL := $(CACHE)/promtool-$(PROMTOOL_VERSION)
PINT     := $(CACHE)/pint-$(PINT_VERSION)

VERSION  := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
REVISION := $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
BRANCH   := $(shell git rev-parse --abbrev-ref HEAD 2>/dev/null || echo unknown)
# The commit's date and not the clock's: the same commit gives the same bytes.
DATE     := $(shell git log -1 --format=%cd --date=format:%Y%m%d-%H:%M:%S 2>/dev/null || echo unknown)
INFO     := github.com/prometheus/common/version
LDFLAGS  := -s -w -X $(INFO).Version=$(VERSION:v%=%) -X $(INFO).Revision=$(REVISION) -X $(INFO).Branch=$(BRANCH) -X $(INFO).BuildDate=$(DATE)

# go test, with what failed said once more in the end, where it is looked for.
TESTS := $(GO) run gotest.tools/gotestsum@$(GOTESTSUM_VERSION) --format-hide-empty-pkg --hide-summary skipped

E2E_TIMEOUT  := 30m
E2E_PACKAGES = $(shell cd e2e && $(GO) list ./... | grep -v /soak)
# They wait more than they work: two packages at a time, each with nodes of its own. But for the matrix, which has so many
# pods go wrong at a time that it comes first and alone.
E2E_AT_ONCE  := 2
E2E_ALONE     = $(filter %/matrix,$(E2E_PACKAGES))
# A kubelet that is short of processors does what it does in an order of its own. Up to so many tests that failed are run
# once more, each by itself, and are told of in the end; what fails twice fails.
E2E_AGAIN    := 3
SOAK         := 10m
FLEET        := 10,100,1000
FLEET_PAST   := 2h
TEST_TIMEOUT := 10m
FUZZ_TIME    := 5s

.DEFAULT_GOAL := help
.PHONY: build man run node test unit fuzz e2e soak screenshots older oracle simulate fleet bench lint golden clean help requirements

build: ## Build bin/staticpod-exporter.
	@mkdir -p bin
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/staticpod-exporter ./cmd/staticpod-exporter

# Laid out as below /usr/share, where packages put it.
man: build ## Write manual pages and shell completions into bin/share.
	@rm -rf bin/share && mkdir -p bin/share/bash-completion/completions bin/share/zsh/site-functions bin/share/fish/vendor_completions.d
	bin/staticpod-exporter man bin/share/man/man1
	bin/staticpod-exporter completion bash > bin/share/bash-completion/completions/staticpod-exporter
	bin/staticpod-exporter completion zsh > bin/share/zsh/site-functions/_staticpod-exporter
	bin/staticpod-exporter completion fish > bin/share/fish/vendor_completions.d/staticpod-exporter.fish

bin/node: FORCE
	@mkdir -p bin
	@cd e2e && $(GO) build -trimpath -o ../bin/node ./cmd/node

run: build bin/node ## See it work: a real node, three definitions of which one is broken, and what becomes of them. Root for the node; Ctrl-C ends it.
	@bin/node run --exporter bin/staticpod-exporter

node: bin/node ## Run a real node, a kubelet and a containerd on loopback, and print how to reach it. Needs root; Ctrl-C ends it.
	@bin/node up $(NODE_FLAGS)

test: lint unit oracle simulate bin/node ## What must pass: lint, unit tests with the race detector, and, where a node can run, the tests on the real node.
	@if why=$$(bin/node check 2>&1); then \
	  $(MAKE) --no-print-directory e2e; \
	else \
	  echo "make e2e, the tests on the real node, was not run. $$why"; \
	fi

unit: requirements $(PROMTOOL) $(PINT)
	PROMTOOL=$(PROMTOOL) PINT=$(PINT) $(TESTS) -- -race -timeout $(TEST_TIMEOUT) ./...

# One worker for each: they run beside other things. What a target found lies in testdata/fuzz of its package.
fuzz: requirements ## Fuzz every parser for FUZZ_TIME, 5s by default.
	@grep -rHo --include=*_test.go --exclude-dir=e2e '^func Fuzz[A-Za-z]*' . | sort | while IFS=: read -r file target; do \
	  $(GO) test -run '^$$' -fuzz "^$${target#func }\$$" -fuzztime $(FUZZ_TIME) -parallel 1 "$$(dirname "$$file")"; \
	done

# What the tests keep, such as all that they said and the kubelet's log, is below bin/e2e.
e2e: bin/node ## Run the tests on the real node. Needs root. E2E_FLAGS are for go test: E2E_FLAGS='-run TestName'; E2E_PACKAGES=./matrix.
	@bin/node build
	@rm -rf bin/e2e && mkdir -p bin/e2e
	@cd e2e && passed=true; n=0; for packages in "$(E2E_ALONE)" "$(filter-out $(E2E_ALONE),$(E2E_PACKAGES))"; do \
	  [ -n "$$packages" ] || continue; n=$$((n + 1)); \
	  $(TESTS) --format testname --jsonfile $(CURDIR)/bin/e2e/said-$$n.json --packages "$$packages" \
	    --rerun-fails=1 --rerun-fails-max-failures=$(E2E_AGAIN) --rerun-fails-report $(CURDIR)/bin/e2e/again-$$n.txt -- \
	    -timeout $(E2E_TIMEOUT) -p $(E2E_AT_ONCE) -artifacts -outputdir $(CURDIR)/bin/e2e $(E2E_FLAGS) || passed=false; \
	done; \
	find $(CURDIR)/bin/e2e -name report.txt | sort | xargs -r cat; \
	$(TESTS) --format none --raw-command -- cat $(CURDIR)/bin/e2e/said-*.json; \
	find $(CURDIR)/bin/e2e -name 'again-*.txt' | sort | xargs -r cat; $$passed

soak: bin/node ## Have fifty healthy pods run for SOAK, 10m by default: nothing may be said of them that is not so. Needs root.
	@bin/node build
	cd e2e && $(GO) test -count 1 -timeout 60m ./soak -duration $(SOAK)

# Those of dashboards show some minutes of a node, and six hours of a simulated fleet.
screenshots: PICTURES := -count 1 -timeout $(E2E_TIMEOUT) -screenshots $(CURDIR)/docs/screenshots
screenshots: bin/node ## Take the pictures of docs/screenshots anew in Chromium: of the page and dashboards of a real node, and of a fleet's. Needs root.
	@bin/node build
	cd e2e && $(GO) test ./page -run 'TestPage/pictures' $(PICTURES)
	cd e2e && $(GO) test ./dashboards $(PICTURES)
	cd e2e && $(GO) test ./scale -run TestFleet -nodes 40 $(PICTURES)

older: export STATICPOD_NODE_KUBELET := kubelet134
older: bin/node ## Run the tests on a real node with a kubelet three minor releases older, which has no Pods API. Needs root.
	@bin/node build
	cd e2e && $(GO) test -count 1 -timeout 60m -p 1 $(E2E_FLAGS) ./node ./observing ./serving ./matrix

oracle: ## Compare our verdicts with those of the kubelet's own code, over thousands of documents. No root needed.
	cd e2e/oracle && $(GO) test -timeout $(TEST_TIMEOUT) ./...

# Built as promtool is, so that what the two have in common is built once.
simulate: ## Play a day of a small fleet, and fleets that fail, and have Prometheus' own code judge them by the alerts. No root needed.
	cd e2e/fleet && CGO_ENABLED=0 $(GO) test -trimpath -tags remove_all_sd -timeout $(TEST_TIMEOUT) ./...

fleet: ## Measure a real Prometheus with FLEET nodes of 20 static pods, 10,100,1000 by default: memory, rules and every panel. Minutes, and 3 GB of disk.
	cd e2e && $(GO) test -count 1 -timeout 4h -v ./scale -nodes $(FLEET) -past $(FLEET_PAST)

bench: ## Run the benchmarks. BENCH_FLAGS are for go test: BENCH_FLAGS='-count 10'.
	$(GO) test -run '^$$' -bench . -benchmem $(BENCH_FLAGS) ./...

lint: ## Check format, go vet and staticcheck, of both modules.
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "gofmt -w is due for: $$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(GO) run honnef.co/go/tools/cmd/staticcheck@$(STATICCHECK_VERSION) ./...
	cd e2e && $(GO) vet ./... && $(GO) run honnef.co/go/tools/cmd/staticcheck@$(STATICCHECK_VERSION) ./...

golden: ## Write the golden files anew; then read the diff.
	@packages=$$(grep -rl --include=*_test.go 'flag.Bool("update"' . | xargs -r -n1 dirname | sort -u | grep -v '^./e2e' || true); \
	if [ -n "$$packages" ]; then $(GO) test $$packages -update; fi
	git --no-pager diff --stat

clean: ## Remove bin/, and take down what nodes left behind. The programs in the user's cache, minutes of building, stay.
	@if [ -x bin/node ] && [ "$$(id -u)" = 0 ]; then bin/node down; fi
	rm -rf bin
	@if [ -d $(CACHE) ]; then echo "kept: $(CACHE)"; fi

help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / { printf "make %-11s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# The tag leaves out service discovery, which promtool needs for none of what it does here.
$(PROMTOOL):
	@mkdir -p $(CACHE)
	@echo "promtool $(PROMTOOL_VERSION): building, once (some minutes)"
	@dir=$$(mktemp -d $(CACHE)/.new-XXXXXX) && trap 'rm -rf "$$dir"' EXIT && \
	  (cd e2e/prometheus && CGO_ENABLED=0 $(GO) build -trimpath -tags remove_all_sd -ldflags '-s -w' -o $$dir github.com/prometheus/prometheus/cmd/promtool) && \
	  mv $$dir/promtool $@

$(PINT):
	@mkdir -p $(CACHE)
	@echo "pint $(PINT_VERSION): building, once (in a minute or two)"
	@dir=$$(mktemp -d $(CACHE)/.new-XXXXXX) && trap 'rm -rf "$$dir"' EXIT && \
	  (cd e2e/pint && CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w' -o $$dir github.com/cloudflare/pint/cmd/pint) && \
	  mv $$dir/pint $@

# The race detector needs a C compiler. runc and the CNI plugins of the node are installed by bin/node.
requirements:
	@if ! command -v gcc >/dev/null && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "installing gcc: apt-get"; \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends gcc libc6-dev >/dev/null; \
	fi

FORCE:
