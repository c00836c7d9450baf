#!/bin/sh
# Installs the system packages that building or testing saslgate needs.
#
#   packaging/setup.sh build   a C compiler and linker, for the C parts of crates
#   packaging/setup.sh peers   that, and the programs the tests talk to
#   packaging/setup.sh clients servers that exclude each other on one host, unpacked
#                              into target/clients/root and installed nowhere
#   packaging/setup.sh ladder  what makes and boots a system for packaging/ladder.sh
#
# Called by the Makefile. Knows Debian's apt-get and Fedora's dnf. Installs
# only what is missing, as root or through sudo, and says nothing when nothing
# is. It starts no service, enables none at boot, and removes no package: where
# another mail server is in the way it says so and stops.
set -eu

# One need a line: how to see that it is there, the Debian package, the Fedora
# package. `command` looks in PATH and the sbin directories, `file` wants one
# match of the pattern. `-`: the distribution needs nothing for it.
BUILD_NEEDS='
command cc                                       gcc                  gcc
file    /usr/include/stdio.h                     libc6-dev            glibc-devel
command make                                     make                 make
'
PEER_NEEDS='
file    /usr/libexec/sendmail/sendmail|/usr/sbin/sendmail.sendmail  sendmail-bin  sendmail
file    /usr/share/sendmail/sendmail|/usr/sbin/sendmail.sendmail    sendmail-base sendmail
file    /usr/share/sendmail/cf/m4/cf.m4|/usr/share/sendmail-cf/m4/cf.m4  sendmail-cf  sendmail-cf
command m4                                       m4                   m4
command saslauthd                                sasl2-bin            cyrus-sasl
command testsaslauthd                            sasl2-bin            cyrus-sasl
file    /usr/lib/*/sasl2/libplain.so*|/usr/lib64/sasl2/libplain.so*|/usr/lib/sasl2/libplain.so*  libsasl2-modules  cyrus-sasl-plain
command db_load                                  db-util              libdb-utils
command gdbm_load                                gdbmtool             gdbm
command mdb_load                                 lmdb-utils           lmdb
file    /usr/include/sasl/sasl.h                 libsasl2-dev         cyrus-sasl-devel
file    /usr/include/security/pam_modules.h      libpam0g-dev         pam-devel
file    /usr/lib/*/libpam_wrapper.so*|/usr/lib64/libpam_wrapper.so*|/usr/lib/libpam_wrapper.so*  libpam-wrapper  pam_wrapper
file    /usr/lib/*/security/pam_unix.so|/lib/*/security/pam_unix.so|/usr/lib64/security/pam_unix.so|/usr/lib/security/pam_unix.so  libpam-modules  pam
command swaks                                    swaks                swaks
file    /usr/lib/*/perl5/*/Net/SSLeay.pm|/usr/lib64/perl5/vendor_perl/Net/SSLeay.pm|/usr/share/perl5/vendor_perl/Net/SSLeay.pm  libnet-ssleay-perl  perl-Net-SSLeay
command msmtp                                    msmtp                msmtp
command curl                                     curl                 curl
command openssl                                  openssl              openssl
command testssl|testssl.sh                       testssl.sh           testssl
command sslscan                                  sslscan              sslscan
command python3                                  python3              python3
command systemd-analyze                          systemd              systemd
command readelf                                  binutils             binutils
command slapd                                    slapd                openldap-servers
command ldapsearch                               ldap-utils           openldap-clients
command unshare                                  util-linux           util-linux
command mkpasswd                                 whois                mkpasswd
command htpasswd                                 apache2-utils        httpd-tools
command krb5kdc                                  krb5-kdc             krb5-server
command kadmin.local                             krb5-admin-server    krb5-server
command chage                                    passwd               shadow-utils
command nsenter                                  util-linux           util-linux
file    /usr/lib/dovecot/imap|/usr/libexec/dovecot/imap  dovecot-imapd dovecot
command lighttpd                                 lighttpd             lighttpd
file    /usr/lib/lighttpd/mod_openssl.so|/usr/lib64/lighttpd/mod_openssl.so  lighttpd-mod-openssl lighttpd
command ps                                       procps               procps-ng
command ss                                       iproute2             iproute
command man                                      man-db               man-db
command groff                                    groff-base           groff-base
command fail2ban-regex                           fail2ban             fail2ban-server
file    /usr/lib/python3/dist-packages/prometheus_client/openmetrics/parser.py|/usr/lib/python3*/site-packages/prometheus_client/openmetrics/parser.py  python3-prometheus-client  python3-prometheus_client
command dnsmasq                                  dnsmasq-base         dnsmasq
'
# Servers that ask a saslauthd, one a line as above. Most of them exclude sendmail, or would
# have to be configured to be installed; the tests lay their files over the host's
# in a mount namespace.
CLIENT_NEEDS='
command postfix                                  postfix              postfix
command exim4|exim                               exim4-daemon-heavy   exim
command slapd                                    slapd                openldap-servers
command ldapwhoami                               ldap-utils           openldap-clients
command memcached                                memcached            memcached
command svnserve                                 subversion           subversion
file    /usr/lib/*/sasl2/libplain.so*|/usr/lib64/sasl2/libplain.so*  libsasl2-modules  cyrus-sasl-plain
file    /usr/lib/cyrus/bin/imapd|/usr/libexec/cyrus-imapd/imapd  cyrus-imapd  cyrus-imapd
file    /usr/lib/cyrus/bin/imtest|/usr/bin/imtest  cyrus-clients        cyrus-imapd-utils
command apache2|httpd                            apache2-bin          httpd
file    /usr/lib/apache2/modules/mod_authn_sasl.so  libapache2-mod-authn-sasl  -
file    /usr/lib/*/faketime/libfaketime.so.1|/usr/lib64/faketime/libfaketime.so.1  libfaketime  libfaketime
'
LADDER_NEEDS='
command debootstrap                              debootstrap          debootstrap
command systemd-nspawn                           systemd-container    systemd-container
'

say() { printf 'setup: %s\n' "$*"; }

stop() {
    printf 'setup: %s\n' "$@" >&2
    exit 1
}

main() {
    case "${1-}" in
        build) needs=$BUILD_NEEDS ;;
        peers) needs=$BUILD_NEEDS$PEER_NEEDS ;;
        clients) needs=$CLIENT_NEEDS ;;
        ladder) needs=$LADDER_NEEDS ;;
        *) stop "usage: packaging/setup.sh build|peers|clients|ladder" ;;
    esac
    PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
    if [ "$1" = clients ]; then
        unpack_clients
        return
    fi
    missing=$(find_missing)
    [ -n "$missing" ] || return 0
    if command -v apt-get >/dev/null; then
        install_debian $missing
    elif command -v dnf >/dev/null; then
        install_fedora $missing
    else
        stop "this system has neither apt-get nor dnf; please install what stands for:" "$missing"
    fi
    still=$(find_missing)
    [ -z "$still" ] || stop "installed, and yet not found: $still"
}

# Prints the packages of this distribution for every need that is not met.
find_missing() {
    if command -v dnf >/dev/null && ! command -v apt-get >/dev/null; then
        column=fedora
    else
        column=debian
    fi
    printf '%s\n' "$needs" | while read -r kind probe debian fedora; do
        [ -n "$kind" ] || continue
        if ! is_met "$kind" "$probe"; then
            [ "$column" = fedora ] && echo "$fedora" || echo "$debian"
        fi
    done | sort -u | grep -vx -e - | tr '\n' ' ' || true
}

is_met() {
    case "$1" in
        command) any_command "$2" ;;
        file) any_exists "$2" ;;
    esac
}

# Succeeds if one of the names, separated by `|`, is a program.
any_command() {
    for name in $(echo "$1" | tr '|' ' '); do
        if command -v "$name" >/dev/null; then return 0; fi
    done
    return 1
}

# Succeeds if one of the patterns, separated by `|`, matches a file.
any_exists() {
    old_ifs=$IFS
    IFS='|'
    for pattern in $1; do
        for path in $pattern; do
            if [ -e "$path" ]; then
                IFS=$old_ifs
                return 0
            fi
        done
    done
    IFS=$old_ifs
    return 1
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        stop "root is needed for: $*" "run it as root, or install sudo, and start again"
    fi
}

# Stops where `sendmail` is among the packages wanted, and another mail server is there.
refuse_beside() {
    stop "installing sendmail would $1." \
        "The tests against real programs need sendmail's program file, not a running sendmail." \
        "Run 'make test' on another machine or in a container; here 'cargo test' runs the" \
        "tests that need no other program. Nothing was changed."
}

install_debian() {
    say "installing $*"
    apt="apt-get -qq -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=600"
    as_root $apt update >/dev/null || say "apt-get update failed; trying with the lists that are here"
    if ! plan=$(LC_ALL=C apt-get -s install --no-install-recommends "$@" 2>&1); then
        stop "apt-get cannot install $*:" "$plan"
    fi
    removals=$(printf '%s\n' "$plan" | sed -n 's/^Remv \([^ ]*\).*/\1/p' | tr '\n' ' ')
    [ -z "$removals" ] || refuse_beside "remove ${removals% }"
    keep_services_down
    log=$(mktemp)
    if ! as_root env DEBIAN_FRONTEND=noninteractive $apt install -y --no-install-recommends "$@" >"$log" 2>&1; then
        stop "apt-get install failed; its last words:" "$(tail -n 20 "$log")" "all of them: $log"
    fi
    rm -f "$log"
    allow_services
    disable_at_boot "$@"
}

# --- clients: unpacked, not installed ---

# Nothing is downloaded if the root is there and was made for the same packages.
unpack_clients() {
    packages=$(find_missing)
    clients=${CARGO_TARGET_DIR:-target}/clients
    if [ "$(cat "$clients/complete" 2>/dev/null)" = "$packages" ]; then return 0; fi
    rm -rf "$clients"
    mkdir -p "$clients/packages" "$clients/root"
    say "unpacking ${packages:-nothing: all is installed }(into $clients/root; nothing is installed)"
    if command -v apt-get >/dev/null; then
        fetch_debian $packages
    elif command -v dnf >/dev/null; then
        fetch_fedora $packages
    fi
    # Where /lib and the others are links into /usr, that is where the files belong.
    for part in bin sbin lib lib64; do
        if [ -L "/$part" ] && [ -d "$clients/root/$part" ]; then
            mkdir -p "$clients/root/usr/$part"
            cp -a "$clients/root/$part/." "$clients/root/usr/$part/"
            rm -rf "${clients:?}/root/$part"
        fi
    done
    rm -rf "$clients/packages"
    printf '%s' "$packages" >"$clients/complete"
}

# Each package alone with what it needs here, since all together exclude each other.
fetch_debian() {
    as_root apt-get -qq update >/dev/null 2>&1 || say "apt-get update failed; trying with the lists that are here"
    for package in "$@"; do
        LC_ALL=C apt-get -s install --no-install-recommends "$package" 2>/dev/null |
            sed -n 's/^Inst \([^ ]*\) .*/\1/p' | grep . || stop "apt-get knows no way to install $package"
    done | sort -u >"$clients/packages/wanted"
    [ -s "$clients/packages/wanted" ] || return 0
    (cd "$clients/packages" && xargs apt-get -qq -o APT::Sandbox::User=root download <wanted >download.log 2>&1) ||
        stop "apt-get download failed; its last words:" "$(tail -n 20 "$clients/packages/download.log")"
    for file in "$clients/packages"/*.deb; do
        dpkg-deb -x "$file" "$clients/root"
    done
}

fetch_fedora() {
    [ $# -gt 0 ] || return 0
    # What a distribution does not have is missing, and the test says so.
    for package in "$@"; do
        dnf -q download --resolve --destdir "$clients/packages" "$package" >/dev/null 2>&1 ||
            say "dnf cannot download $package: its test will be skipped"
    done
    for file in "$clients/packages"/*.rpm; do
        [ -e "$file" ] || continue
        rpm2cpio "$file" | (cd "$clients/root" && cpio -idm --quiet)
    done
}

POLICY=/usr/sbin/policy-rc.d

# Debian's packages start their services as they are installed. policy-rc.d is
# the documented way to say no; one that is there already is left as it is, if
# it says no.
keep_services_down() {
    if [ -e "$POLICY" ]; then
        if "$POLICY" sendmail start >/dev/null 2>&1; then
            stop "$POLICY lets packages start services; move it away for the time of the set-up"
        fi
        return
    fi
    trap allow_services EXIT
    trap 'exit 130' INT TERM HUP
    printf '#!/bin/sh\n# saslgate set-up: no service starts while packages are installed.\nexit 101\n' |
        as_root tee "$POLICY" >/dev/null
    policy_is_ours=yes
    as_root chmod 755 "$POLICY"
}

allow_services() {
    [ "${policy_is_ours-}" = yes ] || return 0
    policy_is_ours=no
    as_root rm -f "$POLICY"
}

install_fedora() {
    say "installing $*"
    case " $* " in
        *" sendmail "*)
            for other in postfix exim opensmtpd; do
                if rpm -q "$other" >/dev/null 2>&1; then
                    refuse_beside "make it the mail server of this host instead of $other"
                fi
            done
            ;;
    esac
    as_root dnf -q -y install --setopt=install_weak_deps=False "$@"
    disable_at_boot "$@"
}

# What came in for the tests must not come up with the next boot.
disable_at_boot() {
    for package in "$@"; do
        case "$package" in
            sendmail | sendmail-bin) services="sendmail sm-client" ;;
            cyrus-sasl | sasl2-bin) services=saslauthd ;;
            slapd | openldap-servers) services=slapd ;;
            dovecot-imapd | dovecot) services=dovecot ;;
            lighttpd) services=lighttpd ;;
            krb5-kdc | krb5-server) services=krb5-kdc ;;
            krb5-admin-server) services=krb5-admin-server ;;
            fail2ban | fail2ban-server) services=fail2ban ;;
            *) continue ;;
        esac
        for service in $services; do
            if command -v systemctl >/dev/null; then
                as_root systemctl --quiet disable "$service.service" >/dev/null 2>&1 || true
            fi
            if command -v update-rc.d >/dev/null && [ -e "/etc/init.d/$service" ]; then
                as_root update-rc.d "$service" disable >/dev/null 2>&1 || true
            fi
        done
    done
}

main "$@"
