# The one front door for developers. `make test` is all that CI runs.

# Where cargo builds; examples are run from there.
TARGET := $(or $(CARGO_TARGET_DIR),target)
TOOLS := $(TARGET)/tools
FUZZ_TARGET := $(abspath $(TARGET))/fuzz
HOST = $(shell rustc -vV | sed -n 's/^host: //p')
# How long `make fuzz` runs in all, how many targets run at a time, and whether `address` watches the
# memory of dependencies that have unsafe code, which costs speed.
SECONDS ?= 3600
JOBS ?= 2
SANITIZER ?= none
# Everything, with one set of features for all steps: with others, dependencies would be built again.
ALL := --workspace --features bgfetch-cli/js
EXAMPLES := $(basename $(notdir $(wildcard crates/*/examples/*.rs)))

.DEFAULT_GOAL := help
.PHONY: help demo setup fmt lint doc deny arrows examples unit fuzz fuzz-smoke test bench compare
# The steps of `test` would only wait for each other's lock on the build folder.
.NOTPARALLEL:

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Needs less than the tests do, and so has features of its own.
demo: ## Run examples/podcast: a page, its service worker and their background fetch
	@.ci/setup
	cargo build --locked -p bgfetch-cli --features js
	@store=$$(mktemp -d) && trap 'rm -rf "$$store"' EXIT && \
		"$(TARGET)/debug/bgfetch" run examples/podcast --store "$$store" --slow 40000

setup: ## Install what the checks need and this machine lacks (Debian packages, cargo-deny, cargo-fuzz)
	@.ci/setup $(TOOLS)

fmt: ## Format the code
	cargo fmt --all
	cargo fmt --manifest-path fuzz/Cargo.toml

lint: ## Check the format; clippy, also without default features
	cargo fmt --all --check
	cargo fmt --manifest-path fuzz/Cargo.toml --check
	cargo clippy $(ALL) --all-targets -- -D warnings
	cargo clippy -p bgfetch-cli -- -D warnings
	cargo clippy -p bgfetch-net --no-default-features -- -D warnings
	cargo clippy -p bgfetch-net --no-default-features --features fetch --lib --tests -- -D warnings
	cargo clippy -p bgfetch --no-default-features -- -D warnings

doc: ## Build the API documentation; a broken link fails
	RUSTDOCFLAGS="-D warnings" cargo doc $(ALL) --no-deps

# The crates with a JavaScript engine inside have a file of their own, and do not count for the rest.
deny: setup ## Check the dependencies' licences, sources and bans
	$(TOOLS)/bin/cargo-deny --locked --exclude bgfetch-deno --exclude bgfetch-host \
		--exclude bgfetch-wpt \
		check --hide-inclusion-graph bans licenses sources
	$(TOOLS)/bin/cargo-deny --locked --config crates/bgfetch-deno/deny.toml \
		check --hide-inclusion-graph bans licenses sources

# The whole workspace, though only one test runs: with -p, dependencies would be built once more
# with other features.
arrows: ## Check the crate arrows, markers, file sizes and links against docs/
	cargo test $(ALL) --test architecture

# Every example ends by itself and needs no argument. They are run as built, because `cargo run`
# would build dependencies once more with other features.
examples: ## Run every example
	cargo build $(ALL) --examples
	@set -e; for example in $(EXAMPLES); do \
		echo "example $$example"; "$(TARGET)/debug/examples/$$example"; \
	done

# The time limit is for a test that hangs: it takes a few minutes at most.
unit: ## Run the tests alone, `arrows` included
	cargo test $(ALL) --no-run
	timeout --kill-after=10 1200 cargo test $(ALL)

# Sanitizers are not among stable Rust's options, but work with it.
fuzz: setup ## Fuzz all targets: SECONDS=3600 in all, JOBS=2 at a time, SANITIZER=none
	PATH="$(abspath $(TOOLS))/bin:$$PATH" CARGO_TARGET_DIR="$(FUZZ_TARGET)" \
		$(if $(filter none,$(SANITIZER)),,RUSTC_BOOTSTRAP=1) cargo fuzz build -s $(SANITIZER)
	fuzz/run "$(FUZZ_TARGET)/$(HOST)/release" $(SECONDS) $(JOBS)

# Built without cargo-fuzz and into the same folder as the tests, whose dependencies it shares: a
# minute instead of four.
fuzz-smoke: ## Run the seeds of all fuzz targets, and fuzz each for some seconds
	cd fuzz && RUSTC_WRAPPER="$$PWD/rustc" CARGO_TARGET_DIR="$(abspath $(TARGET))" \
		cargo build --locked --bins
	FUZZ_SEED=1 fuzz/run "$(TARGET)/debug" 42 2

# Cheap checks first; the tests' own summary last.
test: setup deny lint doc examples fuzz-smoke unit ## Run everything that CI runs

bench: ## Run the benchmarks of the scheduler and the model
	cargo bench -p bgfetch-benches --bench scheduler --bench model

compare: setup ## Run the program beside curl; a broken bound of time or memory fails
	cargo build --release -p bgfetch-cli
	BGFETCH="$(abspath $(TARGET))/release/bgfetch" cargo bench -p bgfetch-benches --bench compare
