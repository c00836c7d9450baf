#!/bin/sh
# Climbs the ladder of the README on a real system: a Debian with systemd,
# sendmail and Cyrus saslauthd, booted in a private directory and without a
# network. Every step is taken, tried with a real client, and taken back.
#
#   make ladder      (root; downloads some 100 MB of packages)
#
# Outside it makes the system and boots it; inside (`ladder.sh climb`) it runs
# as a service of that system. Nothing of the host is changed but for the two
# packages that make and boot it.
set -eu

SUITE=bookworm

main() {
    [ "$(id -u)" -eq 0 ] || stop "this boots a system: run it as root"
    cd "$(dirname "$0")/.."
    packaging/setup.sh ladder
    work=$(mktemp -d)
    trap 'umount "$work/root/proc" 2>/dev/null || true; rm -rf "$work"' EXIT
    trap 'exit 130' INT TERM HUP
    root=$work/root
    echo "ladder: making a Debian in $root"
    debootstrap --variant=minbase "$SUITE" "$root" >"$work/debootstrap.log" 2>&1 ||
        stop "debootstrap failed: $(tail -n 5 "$work/debootstrap.log")"
    furnish "$root"
    echo "ladder: booting it"
    # Ends by itself: the climb powers off. A climb that hangs is cut off.
    timeout 300 systemd-nspawn --quiet --directory="$root" --register=no --keep-unit \
        --private-network --console=pipe --boot >"$work/console.log" 2>&1 || true
    cat "$root/climb.log"
    grep -qx 'ladder: passed' "$root/climb.log" || stop "the climb did not reach the end"
}

stop() {
    printf 'ladder: %s\n' "$*" >&2
    exit 1
}

# Installs the peers and saslgate as its users do, and a service that climbs.
furnish() {
    install -d "$1/saslgate"
    cp -R Makefile packaging systemd "$1/saslgate"
    mount -t proc proc "$1/proc"
    chroot "$1" /saslgate/packaging/setup.sh peers
    chroot "$1" apt-get -qq -y --no-install-recommends install systemd-sysv dbus >"$work/apt.log" 2>&1
    umount "$1/proc"
    make --silent install DESTDIR="$1" PREFIX=/usr DISTRO=debian
    # Nothing runs that the climb does not start.
    for service in sendmail saslauthd systemd-networkd systemd-resolved; do
        chroot "$1" systemctl --quiet disable "$service" 2>/dev/null || true
        rm -f "$1"/etc/rc?.d/S??"$service"
    done
    echo mx.ladder.test >"$1/etc/hostname"
    echo '127.0.0.1 mx.ladder.test mx localhost' >"$1/etc/hosts"
    cat >"$1/etc/systemd/system/climb.service" <<UNIT
[Unit]
After=multi-user.target
[Service]
Type=oneshot
ExecStart=/bin/sh /saslgate/packaging/ladder.sh climb
ExecStopPost=/bin/systemctl --no-block poweroff --force
StandardOutput=file:/climb.log
StandardError=inherit
UNIT
    install -d "$1/etc/systemd/system/default.target.wants"
    ln -s ../climb.service "$1/etc/systemd/system/default.target.wants/climb.service"
}

# --- inside ---

climb() {
    cd /saslgate
    trap 'fallen $?' EXIT
    prepare
    step_1_own_unit
    step_1_swap
    step_1_dropin
    own_unit_and_servers
    step_2_users
    step_4_gate
    socket_activation
    trap - EXIT
    echo 'ladder: passed'
}

# What went wrong stands in the journal.
fallen() {
    echo "ladder: fell (exit $1)"
    journalctl --no-pager --boot --lines=60
}

# `is NAME STATE`: what systemd says of a unit.
is() {
    state=$(systemctl is-active "$1" || true)
    [ "$state" = "$2" ] || { echo "ladder: $1 is $state, not $2"; return 1; }
}

# `login USER PASSWORD OK|NO`: through Cyrus's own client program.
login() {
    said=$(testsaslauthd -u "$1" -p "$2" -s smtp || true)
    case "$said" in
        "0: $3 "*) ;;
        *) echo "ladder: login of $1 gave '$said', not $3"; return 1 ;;
    esac
}

# Waits up to ten seconds for a command to succeed.
await() {
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        if "$@" >/dev/null 2>&1; then return 0; fi
        sleep 0.5
    done
    echo "ladder: still failing after ten seconds: $*"
    return 1
}

# The original says that it has started before it answers.
cyrus_answers() { await sh -c 'testsaslauthd -u nobody -p probe -s smtp 2>&1 | grep -q NO'; }

passed() { echo "ladder: ok: $*"; }

prepare() {
    systemd-sysusers
    systemd-tmpfiles --create /etc/tmpfiles.d/saslgate.conf
    ip link set lo up
    useradd --create-home alice
    echo 'alice:alices-password' | chpasswd
    echo START=yes >>/etc/default/saslauthd
    systemctl start saslauthd
    cyrus_answers
    login alice alices-password OK
    login alice wrong NO
    passed "Cyrus saslauthd works here"
}

step_1_own_unit() {
    systemctl start saslgate-authd
    is saslauthd inactive
    [ "$(stat -c '%U:%G %a' /run/saslauthd)" = 'saslgate:sasl 710' ]
    [ "$(stat -c '%U %a' /run/saslgate/pam.sock)" = 'saslgate 600' ]
    login alice alices-password OK
    login alice wrong NO
    login nobody-of-this-name wrong NO
    is saslgate-pam active
    if su -s /bin/sh nobody -c 'testsaslauthd -u alice -p alices-password' >/dev/null 2>&1; then
        echo "ladder: nobody can ask"
        return 1
    fi
    systemctl reload saslgate-authd
    login alice alices-password OK
    passed "step 1: saslgate-authd in the place of saslauthd"
    systemctl start saslauthd
    is saslgate-authd inactive
    cyrus_answers
    login alice alices-password OK
    passed "step 1 taken back"
}

# The program of the running saslauthd.
program() { readlink "/proc/$(cat /run/saslauthd/saslauthd.pid)/exe"; }

step_1_swap() {
    make --silent swap-saslauthd PREFIX=/usr DISTRO=debian
    [ "$(program)" = /usr/bin/saslgate ]
    login alice alices-password OK
    login alice wrong NO
    systemctl restart saslauthd
    [ "$(program)" = /usr/bin/saslgate ]
    login alice alices-password OK
    passed "step 1: saslgate at the path of saslauthd"
    make --silent unswap-saslauthd PREFIX=/usr DISTRO=debian
    cyrus_answers
    [ "$(program)" = /usr/sbin/saslauthd ]
    login alice alices-password OK
    passed "swap taken back"
}

# `mechanism NAME`: sets it for the drop-in, which then serves with it.
mechanism() {
    sed -i "s/^MECHANISMS=.*/MECHANISMS=\"$1\"/" /etc/default/saslauthd
    make --silent install-dropin PREFIX=/usr DISTRO=debian
    systemctl restart saslauthd
    login alice alices-password OK
    login alice wrong NO
    journalctl --quiet --no-pager -t saslauthd | grep -qF "[mech=$1] [remote=] [verdict=accepted]"
}

step_1_dropin() {
    make --silent install-dropin PREFIX=/usr DISTRO=debian
    systemctl restart saslauthd
    pid=$(systemctl show --property=MainPID --value saslauthd)
    [ "$(readlink "/proc/$pid/exe")" = /usr/bin/saslgate ]
    login alice alices-password OK
    login alice wrong NO
    passed "step 1: saslgate under the name of saslauthd.service"
    mechanism shadow
    [ -e /etc/systemd/system/saslauthd.service.d/saslgate.rights.conf ]
    mechanism pam
    [ ! -e /etc/systemd/system/saslauthd.service.d/saslgate.rights.conf ]
    passed "the drop-in takes its mechanism from the settings file, and the rights that one needs"
    make --silent uninstall-dropin PREFIX=/usr DISTRO=debian
    systemctl restart saslauthd
    cyrus_answers
    login alice alices-password OK
    pgrep -x saslauthd >/dev/null
    passed "drop-in taken back"
}

# Our own unit knows this host only, and says so, until it is let out.
own_unit_and_servers() {
    logged() { journalctl --quiet --no-pager -t saslauthd | grep -qF "$1"; }
    mv /etc/saslgate/saslgate.toml /root
    printf '[authd]\nbackends = ["rimap"]\n[rimap]\nserver = "127.0.0.1"\n' >/etc/saslgate/saslgate.toml
    saslgate check | grep -q 'rimap asks a server, and saslgate-authd.service may not'
    systemctl start saslgate-authd
    await logged 'rimap asks a server, and this process may not'
    if logged 'Connection refused'; then return 1; fi
    install -D -m 0644 /usr/share/saslgate/authd-network.conf \
        /etc/systemd/system/saslgate-authd.service.d/network.conf
    systemctl daemon-reload
    if saslgate check | grep -q 'may not'; then return 1; fi
    systemctl restart saslgate-authd
    testsaslauthd -u alice -p alices-password -s smtp >/dev/null 2>&1 || true
    await logged 'Connection refused'
    systemctl stop saslgate-authd
    rm /etc/systemd/system/saslgate-authd.service.d/network.conf
    systemctl daemon-reload
    mv /root/saslgate.toml /etc/saslgate
    passed "the unit is let out to servers by one file"
}

step_2_users() {
    echo 'carols-password' | saslgate user add carol --stdin
    [ "$(stat -c '%U %a' /var/lib/saslgate/users.db)" = 'saslgate 600' ]
    systemctl start saslgate-authd
    login carol carols-password NO
    sed -i 's/^#backends/backends/' /etc/saslgate/saslgate.toml
    saslgate check
    systemctl reload saslgate-authd
    login carol carols-password OK
    login carol wrong NO
    login alice alices-password OK
    echo 'a-new-password' | saslgate user passwd carol --stdin
    login carol carols-password NO
    login carol a-new-password OK
    saslgate user lock carol
    login carol a-new-password NO
    saslgate user unlock carol
    passed "step 2: users of its own, beside those of the host"
}

step_4_gate() {
    sed -i "s/^DAEMON_OPTIONS(\`Family=inet,  Name=MSP-v4, Port=submission.*/DAEMON_OPTIONS(\`Family=inet, Name=MSA, Port=10587, Addr=127.0.0.1, M=E, Listen=256')dnl/" /etc/mail/sendmail.mc
    make --silent -C /etc/mail >/dev/null 2>&1
    systemctl start sendmail
    await sh -c 'ss -ltn | grep -q 127.0.0.1:10587'
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=mx.ladder.test \
        -keyout /etc/saslgate/privkey.pem -out /etc/saslgate/fullchain.pem 2>/dev/null
    chgrp saslgate-gate /etc/saslgate/privkey.pem
    chmod 640 /etc/saslgate/privkey.pem
    sed -i 's/^#\(\[tls\]\|certificate\|key\|\[\[gate.backend\|address\)/\1/' /etc/saslgate/saslgate.toml
    saslgate check
    systemctl start saslgate-gate
    send 587 --tls --auth PLAIN
    send 465 --tls-on-connect --auth LOGIN
    refused '535 5.7.8' --tls --auth PLAIN --auth-user carol --auth-password wrong
    refused '530 5.7.0' --tls
    systemctl reload saslgate-gate
    send 587 --tls --auth PLAIN
    passed "step 4: the gate in front of sendmail"
    systemctl stop saslgate-gate
    [ -z "$(ss -Hltn 'sport = :587 or sport = :465')" ]
    passed "step 4 taken back: the ports are free"
}

send() {
    port=$1
    shift
    out=$(swaks --timeout 20 --server 127.0.0.1 --port "$port" "$@" --auth-user carol --auth-password a-new-password \
        --from carol@mx.ladder.test --to alice@mx.ladder.test 2>&1) || { echo "$out"; return 1; }
    echo "$out" | grep -q 'Message accepted for delivery'
}

# `refused REPLY ARGUMENTS`: the gate answers so, and the message does not go.
refused() {
    reply=$1
    shift
    out=$(swaks --timeout 20 --server 127.0.0.1 --port 587 "$@" \
        --from carol@mx.ladder.test --to alice@mx.ladder.test 2>&1) && { echo "$out"; return 1; }
    echo "$out" | grep -qF "$reply" || { echo "$out"; return 1; }
}

socket_activation() {
    systemctl stop saslgate-authd
    systemctl start saslgate-authd.socket
    is saslgate-authd inactive
    login alice alices-password OK
    is saslgate-authd active
    systemctl stop saslgate-authd 2>/dev/null
    login carol a-new-password OK
    systemctl stop saslgate-authd.socket saslgate-authd
    passed "the socket can be systemd's"
}

case "${1-}" in
    '') main ;;
    climb) climb ;;
    *) stop "usage: packaging/ladder.sh" ;;
esac
