#!/usr/bin/env bash
# Runs a command beside a Docker engine of its own. Both are in a network of their own, so that the command reaches
# containers by address; with --here, in this machine's. DOCKER_HOST leads to the engine, which starts again when it is
# ended (FAIRLEAD_TEST_DOCKERD is its pid file). Needs root.
#
#   test/engine.sh [--here] [--debian FOLDER] [flag of dockerd …] -- command …
#
# --debian: a folder with another Debian, whose engine it is to be, as made by
#   debootstrap --variant=minbase --include=docker.io,iptables,procps sid FOLDER
set -euo pipefail

case $1 in
  --here) shift ;;
  --within) shift; ip link set lo up ;;
  *) exec unshare --mount --net --uts --ipc -- "$0" --within "$@" ;;
esac

debian=
flags=()
while [ "$1" != -- ]; do
  case $1 in
    --debian) debian=$2; shift 2 ;;
    *) flags+=("$1"); shift ;;
  esac
done
shift

work=$(mktemp -d)
export DOCKER_HOST="unix://$work/docker.sock" FAIRLEAD_TEST_DOCKERD="$work/dockerd.pid"
# An engine has subnets for thirty networks, unless they are smaller.
flags+=(--default-address-pool base=172.16.0.0/12,size=24)
flags+=(--data-root "$work/data" --exec-root "$work/exec" --host "$DOCKER_HOST" --pidfile "$FAIRLEAD_TEST_DOCKERD")
# Programs and libraries are the other Debian's, all else is this machine's: that is enough for an engine.
# Docker before 23.0.2 never starts again if it ended while it removed a network (moby/moby#45057), until somebody removes
# its list of networks.
unshare --mount bash -c '
  [ -z "$1" ] || mount --bind "$1/usr" /usr
  work=$2
  shift 2
  trap "kill \$! && wait; exit" TERM
  while :; do
    dockerd "$@" & wait || true
    ! tail -n 30 "$work/dockerd.log" | grep -q "libnetwork.*reservePools" || rm -f "$work/data/network/files/local-kv.db"
    sleep 0.2
  done
' -- "$debian" "$work" "${flags[@]}" >"$work/dockerd.log" 2>&1 &
engine=$!
trap 'kill $engine || true; wait $engine || true; rm -rf "$work"' EXIT

for _ in $(seq 150); do docker version >/dev/null 2>&1 && break; sleep 0.2; done
docker version --format 'Docker {{.Server.Version}}' || { cat "$work/dockerd.log"; exit 1; }
"$@" || {
  failed=$?
  echo "The last words of the engine:"
  tail -n 40 "$work/dockerd.log"
  exit "$failed"
}
