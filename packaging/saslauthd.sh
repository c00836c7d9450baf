#!/bin/sh
# The ways of saslgate into the place of the host's saslauthd, and out again.
#
#   saslauthd.sh swap PROGRAM LINK     the program changes, its unit and flags stay
#   saslauthd.sh unswap PROGRAM LINK
#   saslauthd.sh dropin FOLDER FILE    the rights that a drop-in there needs for its mechanisms
#
# PROGRAM is saslgate, LINK our saslauthd (Fedora: the unit's drop-in names it),
# FOLDER that of the unit's drop-ins, FILE the unit's settings; UNITDIR in the
# environment is where units are. Called by the Makefile, which knows these places.
set -eu

ORIGINAL=/usr/sbin/saslauthd

stop() {
    printf '%s\n' "$*" >&2
    exit 1
}

is_booted() { [ -d /run/systemd/system ]; }

# --- swap ---

# An init script finds the daemon it stops by the path of its program, which is
# another one after the swap. So what runs is stopped before, and started after.
is_running() {
    if is_booted; then
        systemctl --quiet is-active saslauthd
    else
        [ -x /etc/init.d/saslauthd ] && /etc/init.d/saslauthd status >/dev/null 2>&1
    fi
}

act() {
    if is_booted; then systemctl "$1" saslauthd; else /etc/init.d/saslauthd "$1"; fi
}

# `around CHANGE ARGUMENTS`: stops saslauthd, changes it, starts it; one that did
# not run is not started.
around() {
    ran=no
    if is_running; then
        ran=yes
        act stop
    fi
    failed=no
    "$@" || failed=yes
    ! is_booted || systemctl daemon-reload
    [ "$ran" = no ] || act start
    [ "$failed" = no ] || stop "$1 failed; saslauthd is as it was"
    [ "$ran" = yes ] || echo "saslauthd did not run, and was not started"
}

divert_in() {
    dpkg-divert --local --rename --divert "$ORIGINAL.cyrus" --add "$ORIGINAL" && ln -sfn "$1" "$ORIGINAL"
}

divert_out() {
    if [ "$(readlink "$ORIGINAL")" = "$1" ]; then rm -f "$ORIGINAL"; fi
    dpkg-divert --local --rename --divert "$ORIGINAL.cyrus" --remove "$ORIGINAL"
}

unit_in() {
    install -d "$UNITDIR/saslauthd.service.d" "$(dirname "$2")" && ln -sfn "$1" "$2" &&
        printf '[Service]\nExecStart=\nExecStart=%s -m $SOCKETDIR -a $MECH $FLAGS\n' "$2" \
            >"$UNITDIR/saslauthd.service.d/swap.conf"
}

unit_out() {
    rm -f "$UNITDIR/saslauthd.service.d/swap.conf"
    rmdir "$UNITDIR/saslauthd.service.d" 2>/dev/null || true
}

swap() {
    [ -x "$1" ] || stop "$1 is not there: run 'make install' first"
    [ ! -e "$UNITDIR/saslauthd.service.d/saslgate.conf" ] ||
        stop "the drop-in of 'make install-dropin' is there: run 'make uninstall-dropin' first"
    if [ -x /usr/bin/dpkg-divert ]; then around divert_in "$@"; else around unit_in "$@"; fi
    echo "saslauthd is saslgate now (back: make unswap-saslauthd)"
}

unswap() {
    if [ -x /usr/bin/dpkg-divert ]; then around divert_out "$@"; else around unit_out "$@"; fi
    echo "saslauthd is Cyrus saslauthd again"
}

# --- drop-in ---

# Reads the mechanisms as systemd does: an assignment a line, perhaps in quotes.
mechanisms() {
    sed -n "s/^ *\(MECH\|MECHANISMS\)=[\"']\{0,1\}\([^\"']*\).*/\2/p" "$1" 2>/dev/null | tail -n 1 | tr ', ' '\n\n'
}

# True if the account of authd can read this file, or there is none.
is_open() {
    [ ! -e "$1" ] || runuser -u saslgate -- test -r "$1" 2>/dev/null
}

# Why this mechanism needs files that the account saslgate cannot read; nothing if it does not.
obstacle() {
    case "$1" in
        shadow | getpwent) is_open /etc/shadow || echo "$1 reads /etc/shadow" ;;
        sasldb)
            for file in /etc/sasldb2 /etc/sasl2/sasldb2; do
                is_open "$file" || echo "$1 reads $file"
            done ;;
        kerberos5) is_open /etc/krb5.keytab || echo "$1 reads /etc/krb5.keytab" ;;
        ldap | httpform) is_open /etc/saslauthd.conf || echo "$1 reads /etc/saslauthd.conf" ;;
    esac
}

# systemd reads drop-ins in the order of their names: this one comes behind
# saslgate.conf, which takes all capabilities away.
dropin() {
    folder=$1 settings=$2 rights=systemd/saslauthd-rights.conf
    why=$(for name in $(mechanisms "$settings"); do obstacle "$name"; done)
    if [ -z "$why" ]; then
        rm -f "$folder/saslgate.rights.conf"
        return
    fi
    install -m 0644 "$rights" "$folder/saslgate.rights.conf"
    echo "$why, which the account saslgate may not: it is given the right to read every file"
    echo "($folder/saslgate.rights.conf; remove it once the account may read that one)"
}

command=${1-}
[ $# -eq 3 ] || stop "usage: saslauthd.sh swap|unswap|dropin ..."
shift
case "$command" in
    swap | unswap | dropin) "$command" "$@" ;;
    *) stop "usage: saslauthd.sh swap|unswap|dropin ..." ;;
esac
