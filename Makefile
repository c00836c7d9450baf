# saslgate: `make run` tries the product, `make test` tests it, `make help` lists the rest.

PREFIX ?= /usr/local
SYSCONFDIR ?= /etc
DESTDIR ?=

BINDIR = $(PREFIX)/bin
SBINDIR = $(PREFIX)/sbin
MANDIR ?= $(PREFIX)/share/man
DATADIR = $(PREFIX)/share/saslgate
UNITDIR ?= $(SYSCONFDIR)/systemd/system
SYSUSERSDIR ?= $(SYSCONFDIR)/sysusers.d
TMPFILESDIR ?= $(SYSCONFDIR)/tmpfiles.d
PAMDIR ?= $(SYSCONFDIR)/pam.d
FAIL2BANDIR ?= $(SYSCONFDIR)/fail2ban/filter.d

# debian or fedora: group names, PAM includes and the saslauthd unit differ.
ifndef DISTRO
DISTRO := $(shell grep -qsE '^ID(_LIKE)?=.*fedora|^ID(_LIKE)?=.*rhel' /etc/os-release && echo fedora || echo debian)
endif

CARGO ?= cargo
TARGET_DIR = $(or $(CARGO_TARGET_DIR),target)
UNITS = saslgate-authd.service saslgate-authd.socket saslgate-gate.service \
	saslgate-gate.socket saslgate-pam.service saslgate-pam.socket
# Only where systemd runs, which in a chroot or a container it does not.
RELOAD = { [ ! -d /run/systemd/system ] || systemctl daemon-reload; }
LINKS = saslpasswd2 saslpasswd sasldblistusers2 sasldblistusers testsaslauthd
# Test programs that run the same cases against Cyrus saslauthd.
SUBJECT_TESTS = saslauthd_protocol saslauthd_clients saslauthd_face

.PHONY: help
help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 26
	@echo
	@echo "  PREFIX=$(PREFIX) DESTDIR=$(DESTDIR) DISTRO=$(DISTRO)"

.PHONY: run
run: toolchain ## Build a release and try everything on loopback (ARGS=--once to stop after one message)
	@packaging/setup.sh build
	$(CARGO) build --locked --release
	$(TARGET_DIR)/release/saslgate try $(ARGS)

.PHONY: test
test: toolchain ## Install the programs to test with, and run every test
	@packaging/setup.sh peers
	@packaging/setup.sh clients
	$(CARGO) test --locked --features peer-tests
	@echo "The same saslauthd tests, now against Cyrus saslauthd:"
	SUBJECT=original $(CARGO) test --locked --features peer-tests $(SUBJECT_TESTS:%=--test %)

.PHONY: soak
soak: toolchain ## A million requests for each backend: memory and open files must stay (SOAK=n for another number)
	@packaging/setup.sh peers
	SOAK=$${SOAK:-1000000} $(CARGO) test --locked --release --features peer-tests --test saslauthd_soak -- --nocapture --test-threads 1

.PHONY: ladder
ladder: release ## Walk the README's ladder on a Debian booted in a private directory (root, network)
	$(if $(filter 0,$(shell id -u)),,sudo) env CARGO_TARGET_DIR="$(TARGET_DIR)" packaging/ladder.sh

.PHONY: bench
bench: toolchain ## Compare with Cyrus saslauthd and the bare backend
	@packaging/setup.sh peers
	$(CARGO) bench --locked --features peer-tests --bench authd --bench gate --bench store $(ARGS)

.PHONY: lint
lint: toolchain ## Formatting, clippy, rustdoc, dependency policy
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets --all-features -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps --all-features
	$(CARGO) deny --locked check bans licenses sources

.PHONY: release
release: toolchain ## Build the programs that `make install` installs
	@packaging/setup.sh build
	$(CARGO) build --locked --release

.PHONY: toolchain
toolchain:
	@command -v $(CARGO) >/dev/null || { \
		echo "cargo is not in PATH: install Rust (rustup, or the distribution's rust and cargo)"; exit 1; }

# Nothing is built here, so that `sudo make install` compiles nothing as root.
.PHONY: install
install: $(TARGET_DIR)/release/saslgate $(TARGET_DIR)/release/saslgate-pam ## Install programs, units, users, PAM file (PREFIX, DESTDIR); starts nothing
	install -d "$(DESTDIR)$(BINDIR)" "$(DESTDIR)$(DATADIR)" "$(DESTDIR)$(UNITDIR)" \
		"$(DESTDIR)$(SYSUSERSDIR)" "$(DESTDIR)$(TMPFILESDIR)" "$(DESTDIR)$(PAMDIR)" \
		"$(DESTDIR)$(SYSCONFDIR)/saslgate"
	install -m 0755 $(TARGET_DIR)/release/saslgate $(TARGET_DIR)/release/saslgate-pam "$(DESTDIR)$(BINDIR)"
	for unit in $(UNITS); do \
		sed 's#/usr/bin/saslgate#$(BINDIR)/saslgate#g' systemd/$$unit > "$(DESTDIR)$(UNITDIR)/$$unit" && \
		chmod 0644 "$(DESTDIR)$(UNITDIR)/$$unit" || exit 1; \
	done
	for over in systemd/$(DISTRO)/saslgate-*.d; do \
		[ -d "$$over" ] || continue; \
		install -d "$(DESTDIR)$(UNITDIR)/$${over##*/}" && \
		install -m 0644 $$over/*.conf "$(DESTDIR)$(UNITDIR)/$${over##*/}" || exit 1; \
	done
	install -m 0644 packaging/fail2ban/saslgate.conf "$(DESTDIR)$(DATADIR)/fail2ban-filter.conf"
	install -m 0644 packaging/selinux/saslgate.cil systemd/authd-network.conf systemd/saslauthd-rights.conf "$(DESTDIR)$(DATADIR)"
	install -m 0644 systemd/$(DISTRO)/sysusers.conf "$(DESTDIR)$(SYSUSERSDIR)/saslgate.conf"
	install -m 0644 systemd/$(DISTRO)/tmpfiles.conf "$(DESTDIR)$(TMPFILESDIR)/saslgate.conf"
	[ -e "$(DESTDIR)$(PAMDIR)/saslgate" ] || install -m 0644 pam.d/$(DISTRO)/saslgate "$(DESTDIR)$(PAMDIR)"
	[ -e "$(DESTDIR)$(SYSCONFDIR)/saslgate/saslgate.toml" ] || \
		install -m 0644 packaging/host.toml "$(DESTDIR)$(SYSCONFDIR)/saslgate/saslgate.toml"
	install -m 0644 packaging/saslgate.toml "$(DESTDIR)$(DATADIR)/saslgate.toml.example"
	$(TARGET_DIR)/release/saslgate man "$(DESTDIR)$(MANDIR)"
	@[ -n "$(DESTDIR)" ] || $(MAKE) --no-print-directory activate

# Accounts and directories; no service is started, none enabled.
.PHONY: activate
activate:
	systemd-sysusers "$(SYSUSERSDIR)/saslgate.conf"
	systemd-tmpfiles --create "$(TMPFILESDIR)/saslgate.conf"
	@$(RELOAD)

$(TARGET_DIR)/release/saslgate $(TARGET_DIR)/release/saslgate-pam:
	@echo "$@ is not built: run 'make release' first (as yourself, not as root)"; exit 1

.PHONY: install-links
install-links: ## Also answer to saslpasswd2, sasldblistusers2, testsaslauthd, saslauthd (first in PATH beside Cyrus's own)
	install -d "$(DESTDIR)$(BINDIR)" "$(DESTDIR)$(SBINDIR)"
	for name in $(LINKS); do \
		if [ -e "$(DESTDIR)$(BINDIR)/$$name" ] && [ ! -L "$(DESTDIR)$(BINDIR)/$$name" ]; then \
			echo "$(BINDIR)/$$name is there already and is no link; left as it is"; \
		else ln -sf saslgate "$(DESTDIR)$(BINDIR)/$$name"; fi; \
	done
	ln -sf ../bin/saslgate "$(DESTDIR)$(SBINDIR)/saslauthd"
	"$(DESTDIR)$(BINDIR)/saslgate" man --originals "$(DESTDIR)$(MANDIR)"

# Where Cyrus saslauthd has its settings, and how our program is called as it.
SETTINGS = $(if $(filter fedora,$(DISTRO)),/etc/sysconfig/saslauthd,/etc/default/saslauthd)
INTO_PLACE = UNITDIR="$(UNITDIR)" packaging/saslauthd.sh

# Every flag and mechanism goes on working: only the path of the program changes.
.PHONY: swap-saslauthd
swap-saslauthd: ## Put saslgate in the place of saslauthd, flags and all (undo: make unswap-saslauthd)
	@$(INTO_PLACE) swap "$(BINDIR)/saslgate" "$(SBINDIR)/saslauthd"

.PHONY: unswap-saslauthd
unswap-saslauthd: ## Put Cyrus saslauthd back
	@$(INTO_PLACE) unswap "$(BINDIR)/saslgate" "$(SBINDIR)/saslauthd"

.PHONY: install-dropin
install-dropin: ## Let the host's own saslauthd.service run saslgate (undo: make uninstall-dropin)
	@[ ! -e "$(DESTDIR)$(UNITDIR)/saslauthd.service.d/swap.conf" ] || { \
		echo "saslauthd is swapped: run 'make unswap-saslauthd' first"; exit 1; }
	install -d "$(DESTDIR)$(UNITDIR)/saslauthd.service.d"
	sed 's#/usr/bin/saslgate#$(BINDIR)/saslgate#g' systemd/$(DISTRO)/saslauthd.service.d/saslgate.conf \
		> "$(DESTDIR)$(UNITDIR)/saslauthd.service.d/saslgate.conf"
	@[ -n "$(DESTDIR)" ] || $(INTO_PLACE) dropin "$(UNITDIR)/saslauthd.service.d" "$(SETTINGS)"
	@[ -n "$(DESTDIR)" ] || $(RELOAD)

.PHONY: uninstall-dropin
uninstall-dropin: ## Give saslauthd.service back to Cyrus saslauthd
	rm -f "$(DESTDIR)$(UNITDIR)"/saslauthd.service.d/saslgate.conf \
		"$(DESTDIR)$(UNITDIR)"/saslauthd.service.d/saslgate.rights.conf
	rmdir "$(DESTDIR)$(UNITDIR)/saslauthd.service.d" 2>/dev/null || true
	@[ -n "$(DESTDIR)" ] || $(RELOAD)

.PHONY: uninstall
uninstall: uninstall-dropin ## Remove what install put there; configuration, accounts and passwords stay
	@[ "$$(readlink /usr/sbin/saslauthd)" != "$(BINDIR)/saslgate" ] && [ ! -e "$(UNITDIR)/saslauthd.service.d/swap.conf" ] || \
		[ -n "$(DESTDIR)" ] || { echo "saslauthd is swapped: run 'make unswap-saslauthd' first"; exit 1; }
	for name in $(LINKS); do \
		[ "$$(readlink "$(DESTDIR)$(BINDIR)/$$name")" != saslgate ] || rm -f "$(DESTDIR)$(BINDIR)/$$name"; \
	done
	[ "$$(readlink "$(DESTDIR)$(SBINDIR)/saslauthd")" != ../bin/saslgate ] || rm -f "$(DESTDIR)$(SBINDIR)/saslauthd"
	for page in "$(DESTDIR)$(MANDIR)"/man8/*.8; do \
		! head -n 5 "$$page" 2>/dev/null | grep -q saslgate || rm -f "$$page"; \
	done
	rm -f "$(DESTDIR)$(MANDIR)/man5/saslgate.toml.5"
	rm -f "$(DESTDIR)$(BINDIR)/saslgate" "$(DESTDIR)$(BINDIR)/saslgate-pam"
	for unit in $(UNITS); do \
		rm -f "$(DESTDIR)$(UNITDIR)/$$unit"; rm -rf "$(DESTDIR)$(UNITDIR)/$$unit.d/$(DISTRO).conf"; \
		rmdir "$(DESTDIR)$(UNITDIR)/$$unit.d" 2>/dev/null || true; \
	done
	rm -f "$(DESTDIR)$(SYSUSERSDIR)/saslgate.conf" "$(DESTDIR)$(TMPFILESDIR)/saslgate.conf"
	rm -rf "$(DESTDIR)$(DATADIR)"
	@[ -n "$(DESTDIR)" ] || $(RELOAD)
