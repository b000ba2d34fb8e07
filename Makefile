# Every task of the project. `make` alone lists them.

CARGO      ?= cargo
TARGET     := $(abspath $(or $(CARGO_TARGET_DIR),target))
PREFIX     ?= /usr/local
# Where the program looks for etc/exaproxy: beside its own sbin, and for a program in /usr/sbin also in /etc.
SYSCONFDIR ?= $(if $(filter /usr /usr/,$(PREFIX)),/etc,$(PREFIX)/etc)
HELPERS    := $(filter-out %.rs,$(wildcard helpers/*))
VERSION    := $(shell sed -n '/^\[workspace.package\]/,/^\[/s/^version *= *"\(.*\)"/\1/p' Cargo.toml)

# Mutated inputs for each fuzz target in `make fuzz`, and in the smoke run that is part of `make test`.
FUZZ_RUNS  ?= 200000
# How long `make soak` sends mixed traffic, in seconds: longer than every default timer but that of idle tunnels.
SOAK_SECONDS ?= 1500
# Words for the benchmark harness; tests/bench/README.md lists them.
BENCH      ?= --rounds 4 --seconds 3

.DEFAULT_GOAL := help
.PHONY: help all test fast lint fmt fuzz bench soak install dist clean

help: ## list these tasks
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-9s %s\n", $$1, $$2}' Makefile

all: ## build the proxy as it ships (target/release/exaproxy)
	$(CARGO) build --release --locked

test: lint ## everything that must pass: format, lints, every test, fuzz smoke run, dependencies
	$(CARGO) test --workspace --locked --no-fail-fast

fast: ## unit tests and style only, no sockets: a few seconds after a build
	$(CARGO) test --workspace --locked --lib --bins
	$(CARGO) test --locked --test tidy --test dependencies

lint: ## formatting and clippy, warnings are errors
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

fmt: ## format the code
	$(CARGO) fmt --all

fuzz: ## mutated inputs for every parser (FUZZ_RUNS= for each target)
	FUZZ_RUNS=$(FUZZ_RUNS) $(CARGO) test --profile fuzz --locked --test fuzz -- --nocapture

bench: all ## measure against other proxies (BENCH= words for tests/bench/run)
	EXAPROXY="$${EXAPROXY:-$(TARGET)/release/exaproxy}" tests/bench/run $(BENCH)

soak: ## mixed traffic for SOAK_SECONDS; memory and descriptors must return to the start
	SOAK_SECONDS=$(SOAK_SECONDS) $(CARGO) test --release --locked --test soak -- --nocapture

install: all ## program, helpers, examples and documents below PREFIX (and DESTDIR)
	install -D -m 0755 $(TARGET)/release/exaproxy $(DESTDIR)$(PREFIX)/sbin/exaproxy
	install -D -m 0644 conf/exaproxy.conf $(DESTDIR)$(PREFIX)/share/exaproxy/exaproxy.conf
	cp -R conf/examples conf/haproxy conf/html conf/service conf/systemd $(DESTDIR)$(PREFIX)/share/exaproxy/
	sed 's|/usr/sbin/|$(PREFIX)/sbin/|; s|/usr/share/|$(PREFIX)/share/|' conf/systemd/exaproxy.service > $(DESTDIR)$(PREFIX)/share/exaproxy/systemd/exaproxy.service
	install -d $(DESTDIR)$(PREFIX)/share/exaproxy/redirector $(DESTDIR)$(SYSCONFDIR)/exaproxy/redirector
	install -m 0755 $(HELPERS) $(DESTDIR)$(PREFIX)/share/exaproxy/redirector
	install -m 0644 $(wildcard helpers/*.rs) $(DESTDIR)$(PREFIX)/share/exaproxy/redirector
	@# What was changed in etc stays; the helpers as they came are in share.
	for helper in $(HELPERS); do \
	    installed=$(DESTDIR)$(SYSCONFDIR)/exaproxy/redirector/$${helper##*/}; \
	    [ -e "$$installed" ] || install -m 0755 "$$helper" "$$installed" || exit 1; \
	done
	install -d $(DESTDIR)$(PREFIX)/share/doc/exaproxy/docs
	install -m 0644 README.md CHANGELOG.md LICENSE $(DESTDIR)$(PREFIX)/share/doc/exaproxy
	install -m 0644 $(wildcard docs/*.md docs/*.png) $(DESTDIR)$(PREFIX)/share/doc/exaproxy/docs

dist: ## source archive of the committed tree
	mkdir -p $(TARGET)/dist
	git archive --format=tar.gz --prefix=exaproxy-$(VERSION)/ -o $(TARGET)/dist/exaproxy-$(VERSION).tar.gz HEAD
	@echo $(TARGET)/dist/exaproxy-$(VERSION).tar.gz

clean: ## remove what was built
	$(CARGO) clean
	rm -rf tests/output
