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

.PHONY: simulate
simulate: ## replay random calls to the example dialogs from their records (COUNT=1000000)
	@PARLEY_SESSIONS=$(or $(COUNT),1000000) scripts/test --filter DialogSimulation

.PHONY: reference
reference: ## write the references and the schema of dialogs anew from the code
	@PARLEY_WRITE_REFERENCE=1 scripts/test --filter ReferenceTests

.PHONY: bench
bench: ## compare with peers on this machine (ONLY=first-call); writes bench-results/
	@scripts/setup --bench
	@$(BUILD) --product parley
	@scripts/bench $(ONLY)

.PHONY: lint
lint: ## check formatting and the shell scripts
	@swift format lint --strict --parallel --recursive Package.swift Sources Tests Benchmarks Fuzz
	@for script in scripts/* .ci/run; do case $$(head -n 1 $$script) in *bash) bash -n $$script ;; esac; done

.PHONY: format
format: ## format all Swift code in place
	@swift format --in-place --parallel --recursive Package.swift Sources Tests Benchmarks Fuzz
