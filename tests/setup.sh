#!/bin/sh
# Installs what the tests need beside the Rust toolchain: a real Postfix, OpenDKIM and its tools, openssl, Dovecot's delivery
# agent with Pigeonhole (a vacation responder) and its IMAP server, Python (a mail parser that is not ours), Redis with
# Sentinel. Installs only what is missing, asks nothing, and says what it does. Needs root, or sudo without a password.
set -eu

say() { printf 'setup: %s\n' "$1"; }
fail() {
    printf 'setup: %s\n' "$1" >&2
    exit 1
}

PATH=$PATH:/usr/sbin:/sbin
as_root=''
if [ "$(id -u)" -ne 0 ]; then as_root='sudo -n'; fi

# Each program that tests run, its Debian package, and the part that it belongs to: the word in #[needs(…)] and in
# MAILHATCH_REQUIRE, which tests/support/parts.rs reads here. In the order of the parts.
missing=''
while read -r program package _; do
    if command -v "$program" >/dev/null 2>&1; then
        say "$program is there: $(command -v "$program")"
    else
        say "$program is missing: package $package"
        case " $missing " in *" $package "*) ;; *) missing="$missing $package" ;; esac
    fi
done <<'PROGRAMS'
/usr/lib/dovecot/dovecot-lda  dovecot-core    dovecot
sievec                        dovecot-sieve   dovecot
/usr/lib/dovecot/imap         dovecot-imapd   dovecot_imap
faketime                      faketime        faketime
ip                            iproute2        iproute2
opendkim                      opendkim        opendkim
opendkim-genkey               opendkim-tools  opendkim
opendkim-testmsg              opendkim-tools  opendkim
openssl                       openssl         openssl
postconf                      postfix         postfix
postfix                       postfix         postfix
smtp-source                   postfix         postfix
/usr/lib/python3/dist-packages/psycopg2/__init__.py  python3-psycopg2  postgresql
pg_createcluster              postgresql      postgresql
prometheus                    prometheus      prometheus
promtool                      prometheus      prometheus
python3                       python3         python3
redis-server                  redis-server    redis
redis-sentinel                redis-sentinel  redis
systemd-creds                 systemd         systemd_creds
systemd-socket-activate       systemd         systemd
strace                        strace          strace
PROGRAMS

if [ -n "$missing" ]; then
    command -v apt-get >/dev/null 2>&1 || fail "no apt-get here: install by hand what gives these programs:$missing"
    if [ -n "$as_root" ]; then
        sudo -n true 2>/dev/null || fail "not root, and sudo asks for a password: run as root: apt-get install$missing"
    fi
    # The packages' own Postfix, Dovecot and Redis are not needed: each test starts a private one. So its configuration stays minimal, and
    # nothing is started where a policy can say so.
    say "apt-get install$missing"
    export DEBIAN_FRONTEND=noninteractive
    if command -v debconf-set-selections >/dev/null 2>&1; then
        echo 'postfix postfix/main_mailer_type select Local only' | $as_root debconf-set-selections
    fi
    # shellcheck disable=SC2086 # a list of packages
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing || {
        say 'apt-get update, then once more'
        $as_root apt-get update
        # shellcheck disable=SC2086
        $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing
    }
    # Whether a test is ignored is decided when it is compiled.
    touch "$(dirname "$0")/needs/src/lib.rs"
fi

version=$(postconf -d -h mail_version)
case $version in
    [012].* | 3.[0-4] | 3.[0-4].*) fail "Postfix $version is too old: mailhatch is made for 3.5 and later" ;;
    *) say "Postfix $version" ;;
esac
