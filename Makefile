# Parley's front door. `make` alone lists what there is.
.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -euo pipefail -c

# What `parley version` says of its origin.
export PARLEY_COMMIT := $(shell git describe --always --abbrev=12 --dirty --exclude='*' 2>/dev/null)

# One configuration for running and testing: dependencies compile once, and what is tested is what runs. Tests use public
# API only, hence no testable imports (they would compile everything a second time).
BUILD := swift build --configuration release

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: ## set up, build, start the gateway and place a demo call (ONCE=1: exit after it)
	@scripts/setup
	@$(BUILD) --product parley
	@scripts/demo

.PHONY: test
test: ## set up and run every test (ONLY=SIPTests: one suite)
	@scripts/setup --test
	@scripts/test $(if $(ONLY),--filter '$(ONLY)')

.PHONY: fuzz
fuzz: ## fuzz every parser for ten minutes each (ONLY=sip FOR=3600: one, for an hour); see docs/fuzzing.md
	@scripts/fuzz $(or $(ONLY),all) $(or $(FOR),600)

.PHONY: simulate
simulate: ## replay random calls to the example dialogs from their records (COUNT=1000000)
	@PARLEY_SESSIONS=$(or $(COUNT),1000000) scripts/test --filter DialogSimulation

.PHONY: reference
reference: ## write the references and the schema of dialogs anew from the code
	@PARLEY_WRITE_REFERENCE=1 scripts/test --filter ReferenceTests

.PHONY: bench
bench: ## compare with peers on this machine (ONLY=first-call); writes bench-results/
	@scripts/setup --bench
	@$(BUILD) --traits Cluster --product parley
	@scripts/bench $(ONLY)

# Generated code looks as its generator wants it.
SWIFT_FILES := git ls-files '*.swift' ':!:*/Generated/*'

.PHONY: lint
lint: ## check formatting, the shell scripts and the generated code
	@scripts/protos --check
	@$(SWIFT_FILES) | xargs swift format lint --strict --parallel
	@for script in scripts/* deploy/container/* .ci/run; do case $$(head -n 1 $$script) in *bash) bash -n $$script ;; esac; done

.PHONY: chart
chart: ## write what is made of the Helm chart's values anew, and test the chart (ONLY=redis: some of it)
	@scripts/chart-schema
	@scripts/chart-test $(if $(ONLY),-k '$(ONLY)')

.PHONY: chart-run
chart-run: ## run what the chart renders in containers, and call it (ARGS="--set ...")
	@scripts/chart-run $(ARGS)

.PHONY: image
image: ## build the container image (SPEECH=1, COMPILE=1, NAME=, TAG=: see deploy/container)
	@scripts/image

.PHONY: bundle
bundle: ## pack images, chart and models for a site without a way out (VALUES=values.yaml)
	@scripts/bundle

.PHONY: protos
protos: ## write the code of proto/ anew
	@scripts/protos

.PHONY: format
format: ## format all Swift code in place
	@$(SWIFT_FILES) | xargs swift format --in-place --parallel
