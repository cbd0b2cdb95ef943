# `make run` and `make test` are all that is needed on a fresh Debian or Ubuntu machine with Rust
# and Node.js.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
export PATH := $(PATH):$(HOME)/.cargo/bin

SENSORS ?= 12
# cargo-deny is pinned: a newer one may know rules that this repository has not met.
CARGO_DENY_VERSION := 0.20.2

TO_BUILD := 'cc=build-essential' 'npm=npm'
TO_RUN := 'valkey-server|redis-server=redis-server'
TO_TEST := 'redis-server=redis-server' 'redis-check-aof=redis-tools' 'mosquitto=mosquitto' \
	'mosquitto_pub=mosquitto-clients' 'python3 -m ensurepip --version=python3-venv' \
	'chromium|chromium-browser|google-chrome=chromium'

.PHONY: help run build test test-long packages lint bench

help:
	@echo 'make run        build and start with $(SENSORS) simulated sensors; settings come from .env'
	@echo 'make build      target/release/streamgauge'
	@echo 'make test       every test; test-long: with many more random cases, kills, series'
	@echo 'make packages   what building and testing need from this system; asks for root'
	@echo 'make lint       formatting, clippy, licences and sources of dependencies'
	@echo 'make bench      benchmarks'

run:
	@deploy/packages.sh $(TO_BUILD) $(TO_RUN)
	@$(MAKE) --no-print-directory build
	@exec deploy/with-env.sh target/release/streamgauge --simulate $(SENSORS)

build: node_modules/.package-lock.json
	cargo build --release --locked --bin streamgauge

# The client of the predecessor in Python, for its tests. pip writes no file that says it is done.
target/socketio-venv/.installed: tests/socketio/requirements.txt
	python3 -m venv --clear target/socketio-venv
	target/socketio-venv/bin/pip install --quiet --requirement $<
	touch $@

# npm writes this file last, so it says that the rest is whole.
node_modules/.package-lock.json: package.json package-lock.json
	npm ci --no-audit --no-fund
	touch $@

packages:
	@deploy/packages.sh $(TO_BUILD) $(TO_TEST)

test: packages
	@$(MAKE) --no-print-directory node_modules/.package-lock.json
	cargo test --locked --workspace
	npm run check
	@$(MAKE) --no-print-directory target/socketio-venv/.installed
	npm run test:socketio
	CHROMIUM="$$(command -v chromium || command -v chromium-browser || command -v google-chrome)" npm run test:browser

test-long: packages
	@$(MAKE) --no-print-directory node_modules/.package-lock.json
	PROPTEST_CASES=20000 TEST_KILLS=60 TEST_SERIES=10000 PULL_MS=120000 cargo test --locked --release --workspace

lint: node_modules/.package-lock.json
	@if ! cargo clippy --version > /dev/null 2>&1 || ! cargo fmt --version > /dev/null 2>&1; \
		then rustup component add clippy rustfmt; fi
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- --deny warnings
	cargo check --locked --no-default-features
	@if ! cargo deny --version > /dev/null 2>&1; \
		then cargo install --locked cargo-deny --version $(CARGO_DENY_VERSION); fi
	cargo deny --locked check bans licenses sources

bench: node_modules/.package-lock.json
	cargo bench --locked
