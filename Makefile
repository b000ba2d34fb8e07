# Every task of the project. `make` alone lists them.

CARGO      ?= cargo
TARGET     := $(abspath $(or $(CARGO_TARGET_DIR),target))
PREFIX     ?= /usr/local
# Where the program looks for etc/exaproxy: beside its own sbin, and for a program in /usr/sbin also in /etc.
SYSCONFDIR ?= $(if $(filter /usr /usr/,$(PREFIX)),/etc,$(PREFIX)/etc)
STRIP      ?= strip
HELPERS    := $(filter-out %.rs,$(wildcard helpers/*))
VERSION     = $(shell tools/version)

# Mutated inputs for each fuzz target in `make fuzz`, and in the smoke run that is part of `make test`.
FUZZ_RUNS  ?= 200000
# How long `make soak` sends mixed traffic, in seconds: longer than every default timer but that of idle tunnels; and with how
# many loops, several numbers for soaks side by side. SOAK_RELOAD, _UPGRADE, _KILL and _STALL are the seconds between two
# reloads, upgrades, kills of a helper, stalls of the name server, 0 for none; tests/soak/plan.rs has the usual ones.
SOAK_SECONDS ?= 1500
SOAK_THREADS ?= 1
# Words for the benchmark harness; tests/bench/README.md lists them.
BENCH      ?= --rounds 4 --seconds 3

.DEFAULT_GOAL := help
.PHONY: help all built test test-threads fast lint fmt fuzz bench soak install uninstall static deb dist clean

help: ## list these tasks
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' Makefile

all: ## build the proxy as it ships (target/release/exaproxy)
	$(CARGO) build --release --locked

test: lint ## everything that must pass: format, lints, every test, fuzz smoke run, dependencies
	$(CARGO) test --workspace --locked --no-fail-fast

test-threads: ## the behaviour tests with two loops in each proxy
	EXAPROXY_TEST_THREADS=2 $(CARGO) test --locked --test proxy

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

soak: all ## mixed traffic for SOAK_SECONDS through upgrades and reloads; memory and descriptors must return to the start
	EXAPROXY="$${EXAPROXY:-$(TARGET)/release/exaproxy}" SOAK_SECONDS=$(SOAK_SECONDS) SOAK_THREADS='$(SOAK_THREADS)' \
	    $(CARGO) test --profile fuzz --locked --test soak -- --nocapture

# Where things are installed: below PREFIX, and below DESTDIR where a package is made.
ROOT       := $(DESTDIR)$(PREFIX)
ETC        := $(DESTDIR)$(SYSCONFDIR)/exaproxy
SHARE      := $(ROOT)/share/exaproxy
DOC        := $(ROOT)/share/doc/exaproxy
MAN        := $(ROOT)/share/man
BASH_COMPLETION := $(ROOT)/share/bash-completion/completions/exaproxy
ZSH_FUNCTIONS   ?= $(PREFIX)/share/zsh/site-functions
ZSH_COMPLETION  := $(DESTDIR)$(ZSH_FUNCTIONS)/_exaproxy
FISH_COMPLETION := $(ROOT)/share/fish/vendor_completions.d/exaproxy.fish
# What is there to be edited: in share as it came, in etc as it is used.
EDITABLE   := exaproxy.conf $(patsubst conf/%,%,$(wildcard conf/html/*)) $(patsubst helpers/%,redirector/%,$(HELPERS))
# What is there to be read and copied.
FOLDERS    := examples fail2ban grafana haproxy logrotate nftables prometheus service systemd
SAMPLES    := $(shell cd conf && find $(FOLDERS) -type f)
SOURCES    := $(patsubst helpers/%,redirector/%,$(wildcard helpers/*.rs))
DOCUMENTS  := README.md CHANGELOG.md LICENSE $(wildcard docs/*.md docs/*.json docs/*.png)

# Builds, but for an account that has no cargo, as root by sudo(8) often has none: what was built before is as good.
built:
	@if command -v $(CARGO) >/dev/null; then $(MAKE) all; else test -x $(TARGET)/release/exaproxy || \
	    { echo 'nothing is built yet: make all' >&2; exit 1; }; fi

install: built ## program, helpers, pages, examples, documents, manual, completions below PREFIX (and DESTDIR)
	install -D -m 0755 $(TARGET)/release/exaproxy $(ROOT)/sbin/exaproxy
	$(STRIP) $(ROOT)/sbin/exaproxy
	@# What was changed in etc stays: what is not as the last installation left it.
	@for file in $(EDITABLE); do \
	    case $$file in redirector/*) from=helpers/$${file#*/} mode=0755 ;; *) from=conf/$$file mode=0644 ;; esac; \
	    if [ ! -e $(ETC)/$$file ] || cmp -s $(ETC)/$$file $(SHARE)/$$file; then \
	        install -D -m $$mode $$from $(ETC)/$$file || exit 1; \
	    fi; \
	    install -D -m $$mode $$from $(SHARE)/$$file || exit 1; \
	done
	install -m 0644 $(wildcard helpers/*.rs) $(SHARE)/redirector
	@for file in $(SAMPLES); do \
	    if [ -x conf/$$file ]; then mode=0755; else mode=0644; fi; \
	    install -D -m $$mode conf/$$file $(SHARE)/$$file || exit 1; \
	done
	sed 's|/usr/sbin/|$(PREFIX)/sbin/|; s|/usr/share/|$(PREFIX)/share/|' conf/systemd/exaproxy.service > $(SHARE)/systemd/exaproxy.service
	@for file in $(DOCUMENTS); do install -D -m 0644 $$file $(DOC)/$$file || exit 1; done
	install -D -m 0644 docs/man/exaproxy.8 $(MAN)/man8/exaproxy.8
	install -D -m 0644 docs/man/exaproxy.conf.5 $(MAN)/man5/exaproxy.conf.5
	install -D -m 0644 conf/completions/exaproxy.bash $(BASH_COMPLETION)
	install -D -m 0644 conf/completions/_exaproxy $(ZSH_COMPLETION)
	install -D -m 0644 conf/completions/exaproxy.fish $(FISH_COMPLETION)

uninstall: ## what `make install` has put there, but for what was changed in etc
	@for file in $(EDITABLE); do ! cmp -s $(SHARE)/$$file $(ETC)/$$file || rm -f $(ETC)/$$file; done
	@rm -f $(addprefix $(SHARE)/,$(EDITABLE) $(SOURCES) $(SAMPLES)) $(addprefix $(DOC)/,$(DOCUMENTS))
	@# With the folders that were made for them, where nothing else lies there.
	@for folder in $(ETC) $(SHARE) $(DOC); do [ ! -d $$folder ] || \
	    (cd $$folder && rmdir -p $(sort $(dir $(EDITABLE) $(SAMPLES) $(DOCUMENTS))); rmdir $$folder) 2>/dev/null || true; done
	rm -f $(ROOT)/sbin/exaproxy $(MAN)/man8/exaproxy.8 $(MAN)/man5/exaproxy.conf.5
	rm -f $(BASH_COMPLETION) $(ZSH_COMPLETION) $(FISH_COMPLETION)

# What `make static` builds with; dev is quicker, for a test.
STATIC_PROFILE ?= release
HOST            = $(shell rustc -vV | sed -n 's/^host: //p')
STATIC_FOLDER   = $(TARGET)/static-build/$(HOST)/$(if $(filter dev,$(STATIC_PROFILE)),debug,$(STATIC_PROFILE))

static: ## program that needs no library, for any Linux and for the Containerfile (target/static/exaproxy)
	@# Random numbers come from getrandom(2), which a static program cannot look for by name.
	RUSTFLAGS="$$RUSTFLAGS -C target-feature=+crt-static --cfg getrandom_backend=\"linux_getrandom\"" \
	    $(CARGO) build --profile $(STATIC_PROFILE) --locked --bin exaproxy --target $(HOST) --target-dir $(TARGET)/static-build
	install -D -m 0755 $(STATIC_FOLDER)/exaproxy $(TARGET)/static/exaproxy
	$(STRIP) $(TARGET)/static/exaproxy

deb: ## Debian package, with the debug symbols in one of their own (target/debian)
	@conf/debian/build
	$(MAKE) all
	conf/debian/build $(TARGET)

dist: ## source archive of the committed tree, its bill of materials (CycloneDX), and their checksums (target/dist)
	@git diff --quiet HEAD || echo 'what is not committed is not in the archive' >&2
	mkdir -p $(TARGET)/dist
	version=$(VERSION) && cd $(TARGET)/dist && \
	    git -C $(CURDIR) archive --format=tar.gz --prefix=exaproxy-$$version/ -o $$PWD/exaproxy-$$version.tar.gz HEAD && \
	    $(CURDIR)/tools/sbom $$version > exaproxy-$$version.cdx.json && \
	    sha256sum exaproxy-$$version.tar.gz exaproxy-$$version.cdx.json > exaproxy-$$version.sha256
	@ls $(TARGET)/dist/exaproxy-$(VERSION).*

clean: ## remove what was built
	$(CARGO) clean
	rm -rf tests/output
