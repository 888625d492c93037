# The menu. Each line of it is a script or a command that can be called without make as well.

# A Rust that rustup has just installed is found without a new login.
export PATH := $(PATH):$(HOME)/.cargo/bin

CARGO = cargo
CHECK = --workspace --features generate

# All that is installed: the plugin (libgss_spnego.so), the library for C programs
# (libgss_spnego_capi.so, libgss_spnego.so.0 where it is installed) and the tool (spnego).
define BUILD
$(CARGO) build --release --locked
endef

# Optimized: unoptimized it sees little in the same time.
EXPLORE = $(CARGO) test --locked -p spnego --profile explore --test explore --

# make install
export DESTDIR PREFIX LIBDIR SYSCONFDIR

help: ## show this menu
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile

build: ## build the plugin, target/release/libgss_spnego.so, the tool and the library for C
	tools/deps build
	$(BUILD)

demo: ## curl, Heimdal, Apache and ssh with the plugin, in a throwaway realm (root; under a minute)
	tools/deps build demo
	$(BUILD)
	demo/run

check: ## everything that is tested
	tools/deps check
	tests/py/setup
	$(BUILD)
	$(CARGO) fmt --check
	@if $(CARGO) clippy --version >/dev/null 2>&1; then \
	    echo '$(CARGO) clippy'; \
	    $(CARGO) clippy --locked --all-targets $(CHECK) -- -D warnings; \
	else \
	    echo 'SKIPPED: the lints, because this Rust has no clippy (rustup has, Debian 12 not)'; \
	fi
	$(CARGO) test --locked --no-fail-fast $(CHECK)
	$(EXPLORE) --nocapture

bench: ## instructions and time of a handshake: raw krb5, the built-in SPNEGO, the plugin
	tools/deps bench
	$(BUILD)
	bench/run

explore: ## every order of events of a negotiation under attack, within the large bound (minutes)
	tools/deps build
	$(EXPLORE) --ignored --nocapture

fuzz: ## feed the decoders and whole negotiations with damaged tokens
	tools/deps fuzz
	tests/fuzz/run

install: ## plugin, library for C, tool, manuals, then the line for each glue (DESTDIR PREFIX LIBDIR)
	tools/install install

uninstall: ## the same, backwards
	tools/install uninstall

clean: ## remove what was built
	$(CARGO) clean

deps: ## install what all of these need (Debian, root)
	tools/deps build demo check bench fuzz

.PHONY: help build demo check bench explore fuzz install uninstall clean deps
