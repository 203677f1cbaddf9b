# The one front door for developers. `make test` is all that CI runs.

# Where cargo builds; examples are run from there.
TARGET := $(or $(CARGO_TARGET_DIR),target)
TOOLS := $(TARGET)/tools
EXAMPLES := $(basename $(notdir $(wildcard crates/*/examples/*.rs)))

.DEFAULT_GOAL := help
.PHONY: help setup fmt lint doc deny arrows examples unit test bench compare
# The steps of `test` would only wait for each other's lock on the build folder.
.NOTPARALLEL:

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Install what the checks need and this machine lacks (Debian packages, cargo-deny)
	@.ci/setup $(TOOLS)

fmt: ## Format the code
	cargo fmt --all

lint: ## Check the format; clippy, also without default features
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo clippy -p bgfetch-net --no-default-features -- -D warnings
	cargo clippy -p bgfetch --no-default-features -- -D warnings

doc: ## Build the API documentation; a broken link fails
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

# The crates with a JavaScript engine inside have a file of their own, and do not count for the rest.
deny: setup ## Check the dependencies' licences, sources and bans
	$(TOOLS)/bin/cargo-deny --locked --exclude bgfetch-deno --exclude bgfetch-host \
		check --hide-inclusion-graph bans licenses sources
	$(TOOLS)/bin/cargo-deny --locked --config crates/bgfetch-deno/deny.toml \
		check --hide-inclusion-graph bans licenses sources

# The whole workspace, though only one test runs: with -p, dependencies would be built once more
# with other features.
arrows: ## Check the crate arrows, markers, file sizes and links against docs/
	cargo test --workspace --test architecture

# Every example ends by itself and needs no argument. They are run as built, because `cargo run`
# would build dependencies once more with other features.
examples: ## Run every example
	cargo build --workspace --examples
	@set -e; for example in $(EXAMPLES); do \
		echo "example $$example"; "$(TARGET)/debug/examples/$$example"; \
	done

# The time limit is for a test that hangs: it takes a few minutes at most.
unit: ## Run the tests alone, `arrows` included
	timeout --kill-after=10 1500 cargo test --workspace

# Cheap checks first; the tests' own summary last.
test: setup deny lint doc examples unit ## Run everything that CI runs

bench: ## Run the benchmarks of the scheduler and the model
	cargo bench -p bgfetch-benches --bench scheduler --bench model

compare: setup ## Run the program beside curl; a broken bound of time or memory fails
	cargo build --release -p bgfetch-cli
	BGFETCH="$(abspath $(TARGET))/release/bgfetch" cargo bench -p bgfetch-benches --bench compare
