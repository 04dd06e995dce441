# shellcheck shell=bash
# A fresh Debian root with its own systemd, in namespaces of its own. To be sourced by bash, as root.
#
# make_root DIR      a Debian as an administrator has it before mailhatch: minimal, with systemd and Postfix
#                    (dovecot-imapd, which a page installs, lies in its cache: it has no network)
# boot_root DIR      starts its systemd; its network is a loopback interface of its own
# in_root COMMAND... runs a command in it
# stop_root          ends it

CACHE=${MAILHATCH_PACKAGING_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/mailhatch-packaging}
# The release of Debian that a root is made of.
SUITE=${MAILHATCH_DEBIAN_SUITE:-bookworm}
MIRROR=${MAILHATCH_DEBIAN_MIRROR:-http://deb.debian.org/debian}
APPS_ROOT=${APPS_ROOT:-/var/tmp/mailhatch-apps}
ROOT_INIT='' ROOT_UNSHARE=''

make_root() {
    if [ ! -f "$CACHE/$SUITE-dovecot.tar" ]; then
        mkdir -p "$CACHE"
        local fresh
        fresh=$(mktemp -d "$CACHE/fresh.XXXXXX")
        # It becomes the root directory, which mktemp lets nobody else into.
        chmod 0755 "$fresh"
        debootstrap --variant=minbase --include=ca-certificates "$SUITE" "$fresh" "$MIRROR" >&2
        # Nothing is started while the image is made.
        printf '#!/bin/sh\nexit 101\n' >"$fresh/usr/sbin/policy-rc.d"
        chmod +x "$fresh/usr/sbin/policy-rc.d"
        echo mx.example.com >"$fresh/etc/hostname"
        echo mx.example.com >"$fresh/etc/mailname"
        printf '127.0.0.1 localhost\n127.0.1.1 mx.example.com mx\n::1 localhost\n' >"$fresh/etc/hosts"
        printf 'postfix postfix/%s\n' 'main_mailer_type select Internet Site' 'mailname string mx.example.com' |
            chroot "$fresh" debconf-set-selections
        unshare --mount --uts bash -c 'hostname mx.example.com; mount -t proc proc "$1/proc"; DEBIAN_FRONTEND=noninteractive \
            chroot "$1" apt-get install -y --no-install-recommends \
            systemd systemd-sysv dbus postfix procps adduser python3 openssl && DEBIAN_FRONTEND=noninteractive \
            chroot "$1" apt-get install -y --download-only dovecot-imapd' install "$fresh" >&2
        rm "$fresh/usr/sbin/policy-rc.d"
        tar -C "$fresh" --one-file-system -cf "$CACHE/$SUITE-dovecot.tar.new" .
        mv "$CACHE/$SUITE-dovecot.tar.new" "$CACHE/$SUITE-dovecot.tar"
        rm -rf "$fresh"
    fi
    mkdir -p "$1"
    tar -C "$1" -xf "$CACHE/$SUITE-dovecot.tar"
    # The kernel is the machine's: no module is loaded from here.
    ln -sf /dev/null "$1/etc/systemd/system/systemd-modules-load.service"
}

# Runs as the first process of the new namespaces and becomes systemd.
boot_inside() {
    set -e
    local root=$1 device
    mount --make-rprivate /
    mount --bind "$root" "$root"
    mount -t proc proc "$root/proc"
    mount -t sysfs sysfs "$root/sys"
    mount -t tmpfs tmpfs "$root/run"
    mount -t tmpfs tmpfs "$root/tmp"
    mount -t tmpfs -o mode=755 tmpfs "$root/dev"
    for device in null zero full random urandom tty; do
        touch "$root/dev/$device"
        mount --bind "/dev/$device" "$root/dev/$device"
    done
    mkdir "$root/dev/shm" "$root/dev/pts"
    mount -t tmpfs tmpfs "$root/dev/shm"
    mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$root/dev/pts"
    ln -s pts/ptmx "$root/dev/ptmx"
    ln -s /proc/self/fd "$root/dev/fd"
    # A hierarchy without controllers is all that systemd needs to tell its services apart.
    mount -t tmpfs -o mode=755 tmpfs "$root/sys/fs/cgroup"
    mkdir "$root/sys/fs/cgroup/systemd"
    mount -t cgroup -o none,name=systemd,xattr cgroup "$root/sys/fs/cgroup/systemd"
    cd "$root"
    pivot_root . mnt
    cd /
    umount -l /mnt
    hostname mx.example.com
    container=other exec /lib/systemd/systemd --log-target=console systemd.unified_cgroup_hierarchy=0
}

boot_root() {
    unshare --mount --pid --uts --ipc --net --fork --kill-child \
        bash -c "$(declare -f boot_inside); boot_inside \"\$1\"" boot "$1" </dev/null >"$1.console" 2>&1 &
    ROOT_UNSHARE=$!
    local try
    for try in $(seq 300); do
        ROOT_INIT=$(pgrep -P "$ROOT_UNSHARE" || true)
        if [ -n "$ROOT_INIT" ] && in_root systemctl is-system-running >/dev/null 2>&1; then return; fi
        sleep 0.2
    done
    cat "$1.console" >&2
    in_root systemctl --no-pager --failed >&2 || true
    echo "systemd did not come up in $1 (tried $try times)" >&2
    return 1
}

in_root() {
    nsenter -t "$ROOT_INIT" -m -p -u -i -n env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 "$@" </dev/null
}

stop_root() {
    # The end of its first process is the end of all of them.
    [ -z "$ROOT_INIT" ] || kill -9 "$ROOT_INIT" 2>/dev/null || true
    [ -z "$ROOT_UNSHARE" ] || wait "$ROOT_UNSHARE" 2>/dev/null || true
    ROOT_INIT='' ROOT_UNSHARE=''
}
