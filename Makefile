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
.PHONY: help all test fast lint fmt fuzz bench soak install uninstall dist clean

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

# Where things are installed: below PREFIX, and below DESTDIR where a package is made.
ROOT       := $(DESTDIR)$(PREFIX)
SHARE      := $(ROOT)/share/exaproxy
DOC        := $(ROOT)/share/doc/exaproxy
MAN        := $(ROOT)/share/man
REDIRECTOR := $(DESTDIR)$(SYSCONFDIR)/exaproxy/redirector
BASH_COMPLETION := $(ROOT)/share/bash-completion/completions/exaproxy
ZSH_COMPLETION  := $(ROOT)/share/zsh/site-functions/_exaproxy
FISH_COMPLETION := $(ROOT)/share/fish/vendor_completions.d/exaproxy.fish

install: all ## program, helpers, examples, documents, manual, completions below PREFIX (and DESTDIR)
	install -D -m 0755 $(TARGET)/release/exaproxy $(ROOT)/sbin/exaproxy
	install -D -m 0644 conf/exaproxy.conf $(SHARE)/exaproxy.conf
	cp -R conf/examples conf/fail2ban conf/grafana conf/haproxy conf/html conf/nftables conf/prometheus conf/service conf/systemd $(SHARE)/
	sed 's|/usr/sbin/|$(PREFIX)/sbin/|; s|/usr/share/|$(PREFIX)/share/|' conf/systemd/exaproxy.service > $(SHARE)/systemd/exaproxy.service
	install -d $(SHARE)/redirector $(REDIRECTOR)
	install -m 0755 $(HELPERS) $(SHARE)/redirector
	install -m 0644 $(wildcard helpers/*.rs) $(SHARE)/redirector
	@# What was changed in etc stays; the helpers as they came are in share.
	for helper in $(HELPERS); do \
	    installed=$(REDIRECTOR)/$${helper##*/}; \
	    [ -e "$$installed" ] || install -m 0755 "$$helper" "$$installed" || exit 1; \
	done
	install -d $(DOC)/docs
	install -m 0644 README.md CHANGELOG.md LICENSE $(DOC)
	install -m 0644 $(wildcard docs/*.md docs/*.json docs/*.png) $(DOC)/docs
	install -D -m 0644 docs/man/exaproxy.8 $(MAN)/man8/exaproxy.8
	install -D -m 0644 docs/man/exaproxy.conf.5 $(MAN)/man5/exaproxy.conf.5
	install -D -m 0644 conf/completions/exaproxy.bash $(BASH_COMPLETION)
	install -D -m 0644 conf/completions/_exaproxy $(ZSH_COMPLETION)
	install -D -m 0644 conf/completions/exaproxy.fish $(FISH_COMPLETION)

uninstall: ## what `make install` has put there, but for what was changed in etc
	@# With the helpers as they came in share: one that differs was changed, and stays.
	for helper in $(HELPERS); do \
	    installed=$(REDIRECTOR)/$${helper##*/}; \
	    ! cmp -s "$(SHARE)/redirector/$${helper##*/}" "$$installed" || rm -f "$$installed"; \
	done
	rmdir $(REDIRECTOR) $(DESTDIR)$(SYSCONFDIR)/exaproxy 2>/dev/null || true
	rm -rf $(SHARE) $(DOC)
	rm -f $(ROOT)/sbin/exaproxy $(MAN)/man8/exaproxy.8 $(MAN)/man5/exaproxy.conf.5
	rm -f $(BASH_COMPLETION) $(ZSH_COMPLETION) $(FISH_COMPLETION)

dist: ## source archive of the committed tree
	mkdir -p $(TARGET)/dist
	git archive --format=tar.gz --prefix=exaproxy-$(VERSION)/ -o $(TARGET)/dist/exaproxy-$(VERSION).tar.gz HEAD
	@echo $(TARGET)/dist/exaproxy-$(VERSION).tar.gz

clean: ## remove what was built
	$(CARGO) clean
	rm -rf tests/output
