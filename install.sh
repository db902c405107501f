#!/bin/sh
# Installs Fairlead as a service of this machine, or removes it. See docs/install.md.
set -eu

# Where the releases are; `npm run package -- --releases <url>` writes it here.
releases=""

usage="Usage: install.sh [--from <url or folder>] [--version <version>] [--no-start]
       install.sh --uninstall

  --from       a folder, or a URL, with SHA256SUMS and the packages (the release page)
  --version    this version instead of the latest one
  --no-start   install, but do not start the service
  --uninstall  stop the service, and remove what was installed; state, settings and containers stay

DOCKER_HOST: the engine's address, if it is not one of the usual ones."

settings=/etc/fairlead.env
state=/var/lib/fairlead
drop_in=/etc/systemd/system/fairlead.service.d/engine.conf
list=/usr/lib/fairlead/files

say() { printf '%s\n' "$*"; }
fail() {
  printf '%s\n' "$*" >&2
  exit 1
}
has() { command -v "$1" >/dev/null 2>&1; }

main() {
  from="" version="" start=yes uninstall=no
  while [ $# -gt 0 ]; do
    case "$1" in
      --from | --version)
        [ $# -gt 1 ] || fail "$1: expected a value

$usage"
        if [ "$1" = --from ]; then from="$2"; else version="${2#v}"; fi
        shift 2
        ;;
      --no-start) start=no && shift ;;
      --uninstall) uninstall=yes && shift ;;
      --help) say "$usage" && exit ;;
      *) fail "There is no option $1.

$usage" ;;
    esac
  done
  [ "$(id -u)" = 0 ] || fail "install.sh needs root. Run it with sudo: sudo sh install.sh, or curl … | sudo sh"
  if [ "$uninstall" = yes ]; then uninstall && exit; fi

  arch=$(architecture)
  [ -d /run/systemd/system ] ||
    fail "This machine does not run systemd, which the service needs. Without it, run the agent in a container: see Dockerfile, or docs/install.md."
  find_engine
  find_port_holder
  if [ -z "$from" ]; then
    [ -n "$releases" ] || fail "This install.sh does not know where the releases are. Say it: --from <url or folder>"
    if [ -n "$version" ]; then from="$releases/download/v$version"; else from="$releases/latest/download"; fi
  fi
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  if has dpkg; then
    choose "fairlead_.*_$arch\\.deb" "fairlead_${version}_$arch.deb"
  else
    choose "fairlead-.*-linux-$arch\\.tar\\.gz" "fairlead-$version-linux-$arch.tar.gz"
  fi

  say "Installing $file from $from
  engine   $engine
  service  fairlead.service, on port $port"
  download "$file"
  got=$(sha256sum "$work/$file" | cut -d ' ' -f 1)
  [ "$got" = "$sum" ] || fail "$file is damaged: expected SHA-256 $sum, got $got. Nothing was installed."
  configure_engine
  if has dpkg; then install_deb; else install_tarball; fi
  say "
Installed: $(fairlead_version). To make this device one of a fleet, type:
  sudo fairlead join <url of the cloud> --key <provisioning key> && sudo systemctl restart fairlead"
}

architecture() {
  case "$(uname -m)" in
    x86_64 | amd64) echo amd64 ;;
    # With a 32-bit system on a 64-bit kernel, its loader is missing.
    aarch64 | arm64) if has dpkg; then dpkg --print-architecture; else echo arm64; fi ;;
    *) uname -m ;;
  esac | {
    read -r found
    case "$found" in
      amd64 | arm64) echo "$found" ;;
      *) fail "There is no package for this architecture, $found: only for amd64 and arm64." ;;
    esac
  }
}

# The engine's address, as $engine; $unit is what starts it, if that is not docker.service.
find_engine() {
  unit=""
  engine=${DOCKER_HOST:-$(setting DOCKER_HOST)}
  if [ -z "$engine" ] && [ -f $drop_in ]; then engine=$(sed -n 's/^Environment=DOCKER_HOST=//p' $drop_in) unit=$(sed -n 's/^Wants=//p' $drop_in); fi
  if [ -n "$engine" ]; then
    case "$engine" in
      unix:///run/podman/*) ;;
      unix://*) [ -S "${engine#unix://}" ] || fail "No engine answers at $engine (DOCKER_HOST): there is no such socket." ;;
    esac
  elif [ -S /var/run/docker.sock ]; then
    engine=unix:///var/run/docker.sock
  elif [ -S /var/run/balena-engine.sock ]; then
    engine=unix:///var/run/balena-engine.sock unit=balena-engine.service
  elif has docker || has dockerd; then
    fail "Docker is installed, but does not run: there is no /var/run/docker.sock. Start it: sudo systemctl enable --now docker"
  elif has podman; then
    engine=unix:///run/podman/podman.sock unit=podman.socket
  else
    fail "No container engine was found. Install one: sudo apt-get install docker.io (Debian, Ubuntu), or see https://docs.docker.com/engine/install/"
  fi
}

# Of the settings file of an earlier installation.
setting() { [ ! -f $settings ] || sed -n "s/^$1=//p" $settings | tail -n 1; }

# Fails if another program listens on our port.
find_port_holder() {
  port=$(setting FAIRLEAD_PORT)
  port=${port:-48484}
  # Of the sockets that listen (0A): the inode.
  inodes=$(cat /proc/net/tcp /proc/net/tcp6 2>/dev/null |
    awk -v port=":$(printf '%04X' "$port")" '$4 == "0A" && substr($2, length($2) - 4) == port { print $10 }')
  [ -n "$inodes" ] || return 0
  own=$(systemctl show --property=MainPID --value fairlead.service 2>/dev/null || true)
  for one in $inodes; do
    pid=$(find /proc/[0-9]*/fd -lname "socket:\[$one\]" 2>/dev/null | sed -n '1s,^/proc/\([0-9]*\)/.*,\1,p')
    [ -z "$pid" ] || [ "$pid" != "$own" ] || continue
    who=${pid:+process $pid ($(cat "/proc/$pid/comm" 2>/dev/null || echo gone))}
    holder=$(sed -n 's,.*/\([^/]*\)\.service.*,\1,p' "/proc/${pid:-0}/cgroup" 2>/dev/null | head -n 1)
    if systemctl --quiet is-active balena-supervisor.service 2>/dev/null; then holder=balena-supervisor; fi
    fail "Port $port is taken by ${who:-a process of another container}${holder:+, of $holder.service}. ${holder:+Stop it: sudo systemctl disable --now $holder. }Or choose another port: echo FAIRLEAD_PORT=48485 | sudo tee -a $settings"
  done
}

# Where another engine than Docker's usual one is, the unit is told so.
configure_engine() {
  if [ "$engine" = unix:///var/run/docker.sock ] || [ -n "$(setting DOCKER_HOST)" ]; then return 0; fi
  mkdir -p "${drop_in%/*}"
  {
    if [ -n "$unit" ]; then printf '[Unit]\nWants=%s\nAfter=%s\n' "$unit" "$unit"; fi
    printf '[Service]\nEnvironment=DOCKER_HOST=%s\n' "$engine"
  } >$drop_in
  if [ "$unit" = podman.socket ]; then systemctl enable --now podman.socket >/dev/null; fi
}

# From SHA256SUMS, the one package that fits: as $file and $sum.
choose() {
  download SHA256SUMS
  found=$(sed -n "s/^\([0-9a-f]\{64\}\)  \($1\)\$/\1 \2/p" "$work/SHA256SUMS")
  [ -z "$version" ] || found=$(printf '%s\n' "$found" | grep -F " $2" || true)
  case "$found" in
    "") fail "$from has no package for this machine${version:+ of version $version} ($arch)." ;;
    *"
"*) fail "$from has several versions. Choose one with --version:
$found" ;;
  esac
  sum=${found%% *} file=${found#* }
}

download() {
  case "$from" in
    http://* | https://*)
      if has curl; then
        curl -fsSL --retry 3 -o "$work/$1" "$from/$1"
      elif has wget; then
        wget -q -O "$work/$1" "$from/$1"
      else
        fail "Neither curl nor wget is installed. Download SHA256SUMS and the package, and use --from <folder>."
      fi || fail "$from/$1 cannot be downloaded."
      ;;
    *)
      [ -f "$from/$1" ] || fail "There is no $from/$1."
      cp "$from/$1" "$work/$1"
      ;;
  esac
}

# Standard input may be this script.
install_deb() {
  if [ $start = no ]; then systemctl mask --quiet fairlead.service; fi
  if ! dpkg --force-confdef --force-confold --install "$work/$file" </dev/null >"$work/log" 2>&1; then
    cat "$work/log" >&2
    [ $start = yes ] || systemctl unmask --quiet fairlead.service
    fail "dpkg has failed, as it says above. If a package is missing: sudo apt-get -f install"
  fi
  if [ $start = no ]; then systemctl unmask --quiet fairlead.service; fi
}

install_tarball() {
  tar -xzf "$work/$file" -C "$work"
  tree="$work/${file%.tar.gz}"
  "$tree/usr/lib/fairlead/node" --version >/dev/null 2>&1 ||
    fail "The Node runtime does not start on this machine: it needs glibc 2.28 and libstdc++ 8 or later. Nothing was installed."
  [ -w /usr/lib ] || fail "/usr is read-only on this machine. Run the agent in a container instead: see docs/install.md."
  if [ -f $list ]; then cp $list "$work/before"; else : >"$work/before"; fi
  while read -r one; do
    [ "/$one" != $settings ] || [ ! -f $settings ] || continue
    mkdir -p "/${one%/*}"
    # Renamed into place: the agent that runs keeps its own.
    cp -p "$tree/$one" "/$one.new" && mv "/$one.new" "/$one"
  done <"$tree/usr/lib/fairlead/files"
  grep -vxF -f "$tree/usr/lib/fairlead/files" "$work/before" | remove_files
  systemd-tmpfiles --create fairlead.conf
  systemctl daemon-reload
  if [ -s "$work/before" ]; then
    systemctl try-restart fairlead.service
  else
    systemctl enable --quiet fairlead.service
    [ $start = no ] || systemctl start fairlead.service
  fi
}

remove_files() {
  while read -r one; do rm -f "/$one"; done
}

fairlead_version() { sed -n 's/.*"version":"\([^"]*\)".*/fairlead \1/p' /usr/lib/fairlead/package.json; }

uninstall() {
  if has dpkg && dpkg -s fairlead >/dev/null 2>&1; then
    dpkg --remove fairlead </dev/null >/dev/null
    rest="sudo dpkg --purge fairlead"
  elif [ -f $list ]; then
    systemctl disable --now --quiet fairlead.service
    cp $list /run/fairlead.files
    grep -vxF "${settings#/}" /run/fairlead.files | remove_files
    rm -f /run/fairlead.files
    rmdir /usr/lib/fairlead/chunks /usr/lib/fairlead /usr/share/doc/fairlead
    rest="sudo rm -rf $state $settings"
  else
    fail "Fairlead is not installed here by install.sh or dpkg."
  fi
  rm -f $drop_in
  rmdir "${drop_in%/*}" 2>/dev/null || true
  systemctl daemon-reload
  ours="--filter label=io.balena.supervised"
  say "Fairlead is removed. This stays, until you remove it:
  state, settings   $rest
  containers        docker ps -aq $ours | xargs -r docker rm -f
  networks          docker network ls -q $ours | xargs -r docker network rm
  volumes           docker volume ls -q $ours | xargs -r docker volume rm
  images            docker image prune -a    (all that no container uses)
Until the next boot: update locks in /tmp/balena-supervisor, and the rules of iptables of HOST_FIREWALL_MODE and of a proxy."
}

# At the end, so that a download that breaks off runs nothing.
main "$@"
