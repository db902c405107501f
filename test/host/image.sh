#!/usr/bin/env bash
# Makes the image of a machine for the tests: Debian with systemd, logind, hostnamed, journald and a system bus, to be
# run as one unprivileged container (see test/support/systemd-host.ts). Needs root, debootstrap and a Docker engine at
# DOCKER_HOST; takes a minute the first time, seconds when the cache has Debian already, nothing when the image is there.
set -euo pipefail

image="fairlead-test/systemd-host:$(sha256sum "$0" | cut -c1-12)"
docker image inspect "$image" >/dev/null 2>&1 && exit 0

packages=systemd,systemd-sysv,dbus,libpam-systemd,polkitd,avahi-daemon,iproute2,iptables,redsocks,procps,docker.io
suite=bookworm
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
cache=${FAIRLEAD_TEST_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/fairlead-test}
debian="$cache/$suite-$(echo "$packages" | sha256sum | cut -c1-12).tar"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root="$work/root"
mkdir -p "$cache" "$root"

if [ ! -f "$debian" ]; then
  debootstrap --variant=minbase --include="$packages" "$suite" "$root" "$mirror" >"$work/log" 2>&1 ||
    { tail -20 "$work/log" >&2; exit 1; }
  rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* "$root"/usr/share/{doc,man,locale}/*
  tar -C "$root" -cf "$debian.new" . && mv "$debian.new" "$debian"
else
  tar -C "$root" -xf "$debian"
fi

units="$root/etc/systemd/system"
# What would touch the kernel under the container, or makes no sense in one.
for unit in systemd-udevd.service systemd-udev-trigger.service systemd-modules-load.service systemd-sysctl.service \
  systemd-binfmt.service systemd-random-seed.service systemd-remount-fs.service systemd-timesyncd.service \
  sys-kernel-debug.mount sys-kernel-tracing.mount sys-kernel-config.mount dev-hugepages.mount dev-mqueue.mount \
  sys-fs-fuse-connections.mount proc-sys-fs-binfmt_misc.automount getty.target console-getty.service \
  apt-daily.timer apt-daily-upgrade.timer fstrim.timer e2scrub_all.timer redsocks.service; do
  ln -sf /dev/null "$units/$unit"
done
ln -sf /lib/systemd/system/multi-user.target "$units/default.target"
# Else every machine would be the same one.
rm -f "$root/var/lib/dbus/machine-id"
: >"$root/etc/machine-id"
mkdir -p "$root/var/log/journal" "$root/etc/systemd/journald.conf.d"
printf '[Journal]\nStorage=persistent\n' >"$root/etc/systemd/journald.conf.d/host.conf"

# An engine, for the tests that start it. It logs to the journal, and its limits are those of the container.
rm -f "$units"/*.wants/{docker,containerd}.*
mkdir -p "$root/etc/docker" "$units"/{docker,containerd}.service.d
echo '{ "log-driver": "journald", "hosts": ["unix:///run/dbus/docker.sock"] }' >"$root/etc/docker/daemon.json"
printf '[Service]\nLimitNOFILE=\nLimitNPROC=\nLimitCORE=\nOOMScoreAdjust=\n' |
  tee "$units/containerd.service.d/host.conf" >"$units/docker.service.d/host.conf"
printf 'ExecStart=\nExecStart=/usr/sbin/dockerd\n' >>"$units/docker.service.d/host.conf"

cat >"$root/sbin/host-init" <<'INIT'
#!/bin/sh
# The engine mounts control groups read-only in a container that is not privileged; systemd needs its own tree.
mount -o remount,bind,rw /sys/fs/cgroup/systemd 2>/dev/null || mount -o remount,bind,rw /sys/fs/cgroup
# An engine in here needs all of them.
[ -z "$with_engine" ] || for one in /sys/fs/cgroup/*/; do mount -o remount,bind,rw "$one"; done
# The engine binds this file; hostnamed replaces it by renaming another, which fails on a mount.
name=$(cat /etc/hostname)
umount /etc/hostname && [ -s /etc/hostname ] || echo "$name" >/etc/hostname
# Each start is another boot.
cat /proc/sys/kernel/random/uuid >/run/boot_id && mount --bind /run/boot_id /proc/sys/kernel/random/boot_id
exec /lib/systemd/systemd "$@"
INIT
chmod 755 "$root/sbin/host-init"
tar -C "$root" -c . | docker import -c 'CMD ["/sbin/host-init"]' -c 'ENV container=docker' - "$image" >/dev/null
