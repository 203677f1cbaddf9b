# The entry point for developers. `make test` runs everything that CI runs, except `make package`.

# Cargo's target folder; examples are run from there.
TARGET := $(or $(CARGO_TARGET_DIR),target)
TOOLS := $(TARGET)/tools
FUZZ_TARGET := $(abspath $(TARGET))/fuzz
HOST = $(shell rustc -vV | sed -n 's/^host: //p')
# The total time of `make fuzz`, how many targets run at a time, and the sanitizer: `address` checks
# the memory accesses of dependencies that have unsafe code, but is slower.
SECONDS ?= 3600
JOBS ?= 2
SANITIZER ?= none
# How often `make kills` kills, how long `make soak` runs, and the time limit of `make mutants`.
KILLS ?= 300
MINUTES ?= 60
# How many worlds `make simulate` runs, and how many inputs each property test of `make properties` has.
SEEDS ?= 100000
CASES ?= 20000
# How often `make chromium` runs the tests.
ROUNDS ?= 3
# The runtimes of `make node`, and how large the body is whose reading must not take memory.
RUNTIMES ?= node bun deno
MEBIBYTES ?= 64
export WPT_ROOT
# The whole workspace. All steps use one set of features, because others would build dependencies
# again. `cargo build` gets `--examples`, because only then dependencies have the features that tests need.
ALL := --workspace --features bgfetch-cli/js
EXAMPLES := $(basename $(notdir $(wildcard crates/*/examples/*.rs)))

.DEFAULT_GOAL := help
.PHONY: help demo setup tools fmt lint doc api api-check deny arrows examples unit heads crash-points kills soak fuzz fuzz-smoke properties
.PHONY: webkitgtk proxies chromium chromium-smoke mutants mutants-changed package test bench compare rate matrix
.PHONY: simulate simulate-bugs system-sqlite sizes capi capi-smoke capi-throughput capi-header node hosts
# Parallel steps of `test` would only wait for the lock on the build folder.
.NOTPARALLEL:

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Needs less than the tests, so it has its own features.
demo: ## Run examples/podcast: a page, its service worker and their background fetch
	@.ci/setup
	cargo build --locked -p bgfetch-cli --features js
	@store=$$(mktemp -d) && trap 'rm -rf "$$store"' EXIT && \
		"$(TARGET)/debug/bgfetch" run examples/podcast --store "$$store" --slow 40000

setup: ## Install what the checks need and is missing (Debian packages, cargo-deny, -fuzz and -mutants)
	@.ci/setup $(TOOLS) cargo-mutants

# What `test` always needs. It builds cargo-mutants only if there is something to do for it.
tools:
	@.ci/setup $(TOOLS)

fmt: ## Format the code
	cargo fmt --all
	cargo fmt --manifest-path fuzz/Cargo.toml
	cargo fmt --manifest-path examples/webkitgtk-shell/Cargo.toml

lint: ## Check the format and run clippy, also without default features
	cargo fmt --all --check
	cargo fmt --manifest-path fuzz/Cargo.toml --check
	cargo fmt --manifest-path examples/webkitgtk-shell/Cargo.toml --check
	cargo clippy $(ALL) --all-targets -- -D warnings
	cargo clippy -p bgfetch-cli -- -D warnings
	cargo clippy -p bgfetch-net --no-default-features -- -D warnings
	cargo clippy -p bgfetch-net --no-default-features --features fetch --lib --tests -- -D warnings
	cargo clippy -p bgfetch --no-default-features -- -D warnings
	cargo clippy -p bgfetch --no-default-features --features control -- -D warnings
	cargo clippy -p bgfetch --no-default-features --features fetch,sqlite -- -D warnings
	cargo clippy -p bgfetch-sizes --no-default-features --features fetch -- -D warnings

doc: ## Build the API documentation; fails on broken links
	RUSTDOCFLAGS="-D warnings" cargo doc $(ALL) --no-deps

DESCRIBE = RUSTDOC="$(CURDIR)/docs/api/rustdoc" \
	RUSTDOCFLAGS="-Z unstable-options --output-format json --cap-lints allow" \
	cargo doc $(ALL) --no-deps --quiet

api: ## List the public API in docs/api
	$(DESCRIBE)
	cargo run --quiet -p bgfetch-spec-tests --bin public_api "$(TARGET)/doc" --write

api-check: ## Compare the public API with the lists in docs/api
	$(DESCRIBE)
	cargo run --quiet -p bgfetch-spec-tests --bin public_api "$(TARGET)/doc"

# The crates with a JavaScript engine have a separate configuration, and are excluded from the first
# check.
deny: tools ## Check the dependencies' licences, sources and bans
	$(TOOLS)/bin/cargo-deny --locked --exclude bgfetch-deno --exclude bgfetch-host \
		--exclude bgfetch-wpt \
		check --hide-inclusion-graph bans licenses sources
	$(TOOLS)/bin/cargo-deny --locked --config crates/bgfetch-deno/deny.toml \
		check --hide-inclusion-graph bans licenses sources

# Builds the whole workspace for a single test: with -p, dependencies would be built again with
# other features.
arrows: ## Check the crate arrows, markers, file sizes and links against docs/
	cargo test $(ALL) --test architecture

# All examples terminate and need no arguments. They are run directly, because `cargo run` would
# build dependencies again with other features.
examples: ## Run every example
	cargo build $(ALL) --examples
	@set -e; for example in $(EXAMPLES); do \
		echo "example $$example"; "$(TARGET)/debug/examples/$$example"; \
	done

# The time limit is for a test that hangs. Normally the tests take a few minutes at most. Property tests have the same
# inputs each time, so that CI does not fail by chance; `properties` looks for others.
unit: ## Run only the tests, including `arrows`
	cargo test $(ALL) --no-run
	PROPTEST_RNG_SEED=1 timeout --kill-after=10 1200 cargo test $(ALL)

# A workspace of its own that needs GTK, built in the same folder to share dependencies. The time limit is for a test
# that hangs.
webkitgtk: ## Run examples/webkitgtk-shell, a browser, on a virtual screen; leaves a picture of it
	@.ci/setup "" webkitgtk
	cd examples/webkitgtk-shell && export CARGO_TARGET_DIR="$(abspath $(TARGET))" && \
		cargo test --locked --no-run && PICTURE="$(abspath $(TARGET))/webkitgtk.png" \
		timeout --kill-after=10 300 xvfb-run --auto-servernum cargo test --locked

# What to build the libraries of `make capi` with. `test` builds the whole workspace anyway.
CAPI ?= -p bgfetch-capi
capi: ## Build bgfetch.h's libraries, and test them in C and C++ with AddressSanitizer and valgrind
	@.ci/setup "" capi
	cargo build $(CAPI)
	cargo test $(CAPI) --test header
	BGFETCH_CAPI_CHECKS=all cargo test $(CAPI) --test c

# Without what takes long.
capi-smoke: tools ## The same without AddressSanitizer and valgrind
	@.ci/setup "" capi
	cargo build $(ALL) --lib --examples
	cargo test $(ALL) --test c

# The program gets a folder and a URL, and prints the seconds.
capi-throughput: ## Build the program that measures the throughput of bgfetch_body_read
	@.ci/setup "" capi
	cargo build --release -p bgfetch-capi
	crates/bgfetch-capi/install "$(TARGET)/capi" "$(TARGET)/release"
	cc -O2 -std=c11 -D_DEFAULT_SOURCE crates/bgfetch-capi/benches/throughput.c -o "$(TARGET)/capi/throughput" \
		$$(PKG_CONFIG_PATH="$(TARGET)/capi/lib/pkgconfig" pkg-config --cflags --libs bgfetch) \
		-Wl,-rpath,"$(abspath $(TARGET))/capi/lib"

capi-header: ## Write crates/bgfetch-capi/include/bgfetch.h anew
	BGFETCH_WRITE_HEADER=1 cargo test $(CAPI) --test header

# The runtimes are packages of npm, except Node itself.
node: ## Build the npm package and run its tests: RUNTIMES="node bun deno", MEBIBYTES=64
	@.ci/setup "" node
	crates/bgfetch-node/build "$(abspath $(TARGET))"
	BGFETCH_NODE_MEBIBYTES=$(MEBIBYTES) crates/bgfetch-node/test "$(abspath $(TARGET))" $(RUNTIMES)

# Only the tests that a library other than ours could break.
system-sqlite: tools ## Test the store with the SQLite of the system
	cargo test -p bgfetch-store --no-default-features --features sqlite \
		--test store -- opening operations recovery

# Behind tinyproxy and microsocks, besides the proxies of the tests.
proxies: ## Run the tests of proxies behind real ones, too
	@.ci/setup $(TOOLS) proxies
	BGFETCH_REAL_PROXIES=1 cargo test $(ALL) --test proxies

# Both need Debian's package chromium-driver, or another chromedriver with its browser.
chromium: tools ## Run the conformance tests in Chromium: ROUNDS=3, and upstream's from WPT_ROOT=DIR
	cargo build $(ALL) --bins --examples
	spec-tests/chromium "$(abspath $(TARGET))/debug/bgfetch" $(ROUNDS)

chromium-smoke: tools ## Run a small part of the conformance tests in Chromium, if it is installed
	@if command -v chromedriver >/dev/null; then \
		cargo build $(ALL) --bins --examples && \
		spec-tests/chromium "$(abspath $(TARGET))/debug/bgfetch" smoke; \
	else \
		echo "chromium-smoke: skipped, because there is no chromedriver"; \
	fi

heads: ## Test the limits on memory and disk with as many large heads as an attack has
	BGFETCH_HEADS=4000 cargo test $(ALL) --test memory

crash-points: ## Crash at every operation of every scenario, and print how many images were checked
	CRASH_POINTS=all cargo test $(ALL) --test engine --test store crash_points -- --nocapture

# With the program that the tests use.
kills: ## Kill the program KILLS=300 times while a page and its worker run
	BGFETCH_KILLS=$(KILLS) cargo test $(ALL) --test program kills:: -- --nocapture

# With a build of its own: memory is measured as users have it.
soak: ## Run the program for MINUTES=60 against servers that misbehave; fails if something adds up
	BGFETCH_SOAK_MINUTES=$(MINUTES) cargo test --release -p bgfetch-cli --features js \
		--test program soak:: -- --nocapture

# The optimized build takes longer than 2000 runs.
simulate: ## Run the whole engine in simulated worlds: SEEDS=100000
	SIMULATION_RUNS=$(SEEDS) cargo test --release -p bgfetch --test simulation -- --nocapture \
		what_is_promised

# Link-time optimization would take longer than it saves.
properties: ## Run the property tests of the model, the attempts and the scheduler with CASES=20000 random inputs
	PROPTEST_CASES=$(CASES) CARGO_PROFILE_RELEASE_LTO=off cargo test --release -p bgfetch-model -p bgfetch-net \
		--test model --test attempt --test scheduler

simulate-bugs: ## Seed bugs into a copy, one after the other, and check that the simulation finds each
	crates/bgfetch/tests/simulation/bugs/find "$(abspath $(TARGET))/simulate-bugs" $(BUGS)

# Sanitizers are not stable, but work with a stable compiler if RUSTC_BOOTSTRAP is set.
fuzz: tools ## Fuzz all targets: SECONDS=3600 in all, JOBS=2 at a time, SANITIZER=none
	PATH="$(abspath $(TOOLS))/bin:$$PATH" CARGO_TARGET_DIR="$(FUZZ_TARGET)" \
		$(if $(filter none,$(SANITIZER)),,RUSTC_BOOTSTRAP=1) cargo fuzz build -s $(SANITIZER)
	fuzz/run "$(FUZZ_TARGET)/$(HOST)/release" $(SECONDS) $(JOBS)

# Built without cargo-fuzz and in the same folder as the tests, to share their dependencies. This
# takes one minute instead of four.
fuzz-smoke: ## Run the seeds of all fuzz targets, and fuzz each for some seconds
	cd fuzz && RUSTC_WRAPPER="$$PWD/rustc" CARGO_TARGET_DIR="$(abspath $(TARGET))" \
		cargo build --locked --bins
	FUZZ_SEED=1 fuzz/run "$(TARGET)/debug" 42 2

mutants: setup ## Change the code in small ways to see whether tests notice: for MINUTES=60, then again to continue
	mutants/run "$(TARGET)" --minutes $(MINUTES)

mutants-changed: ## The same for the lines that have changed, for three minutes at most
	mutants/run "$(TARGET)" --changed 180

# Each crate is built from its package, with the other packages instead of the workspace. That shows what a
# package lacks, and features that only another crate enables. Cargo would reuse earlier packages of the same
# version from the same build folder, so there is a new one each time.
package: ## Build every published crate from its package alone
	@mkdir -p "$(TARGET)" && build=$$(mktemp -d "$(abspath $(TARGET))/package.XXXXXX") && \
		trap 'rm -rf "$$build"' EXIT && \
		CARGO_TARGET_DIR="$$build" cargo package --workspace --locked --allow-dirty \
		--exclude bgfetch-testkit --exclude bgfetch-spec-tests --exclude bgfetch-benches \
		--exclude bgfetch-embed-server --exclude bgfetch-sizes --exclude bgfetch-binding --exclude bgfetch-capi \
		--exclude bgfetch-node

# Fast checks first; the tests last, so that their summary ends the output.
test: tools deny lint doc api-check examples fuzz-smoke chromium-smoke mutants-changed system-sqlite capi-smoke unit ## Run everything that CI runs, except `package`

bench: ## Run the benchmarks of the scheduler and the model
	cargo bench -p bgfetch-benches --bench scheduler --bench model

compare: tools ## Compare the program with curl; fails if a limit on time or memory is exceeded
	cargo build --release -p bgfetch-cli
	BGFETCH="$(abspath $(TARGET))/release/bgfetch" cargo bench -p bgfetch-benches --bench compare

# The program gets a folder and a URL, as that of C does.
HOST_PROGRAM = $(abspath $(TARGET))/node-tests/programs/throughput.js
hosts: tools capi-throughput ## Compare the throughput of Node and C with the Rust crate's; fails if one has less than 0.8 of it
	crates/bgfetch-node/build "$(abspath $(TARGET))" --release
	crates/bgfetch-node/test "$(abspath $(TARGET))"
	cargo bench -p bgfetch-benches --bench hosts -- Node "node $(HOST_PROGRAM)" C "$(abspath $(TARGET))/capi/throughput"

# An unoptimized build is fast enough for this.
rate: ## Measure how exactly a byte rate is kept while it changes; fails if it is off by a tenth
	cargo bench -p bgfetch-benches --bench rate --profile dev

sizes: ## Print how large a program with an engine is, with each set of features
	benches/sizes/print "$(abspath $(TARGET))"

# Runs for some minutes, because the clients wait before they try again. Without --beside, it is a
# test, and a part of `make unit`.
matrix: ## Print how bgfetch, curl, wget2 and aria2 get on with the faults of servers
	@.ci/setup $(TOOLS) downloaders
	cargo test $(ALL) --test matrix -- --beside
