#!/usr/bin/env bash
# Proves that the packages of build/dist work where nothing else is: for the .deb and for the tarball, a bare Debian 12 in
# a directory (debootstrap), the package installed there, and a node in it that serves a directory, by the command line and,
# where there is /dev/fuse, through a mount. Needs root.
set -euo pipefail
cd "$(dirname "$0")/.."
((EUID == 0)) || { echo "dist_proof: debootstrap and chroot need root" >&2; exit 1; }
work=$PWD/build/dist_proof
# Where this machine gets its packages from, in either format of sources.
mirror=$({ cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null || true; } |
  sed -nE 's/^URIs: *([^ ]+).*/\1/p; s/^deb +(\[[^]]*\] +)?([^ ]+) .*/\2/p' | head -n 1)
mkdir -p "$work"

# bare ROOT: a Debian 12 with what every Debian has, and with this machine's sources of packages.
bare() {
  debootstrap --variant=minbase bookworm "$1" "${mirror:?}" >"$work/debootstrap.log" 2>&1 || {
    tail -n 5 "$work/debootstrap.log" >&2
    return 1
  }
  rm -rf "$1/etc/apt/sources.list" "$1/etc/apt/sources.list.d"
  cp -r /etc/apt/sources.list.d "$1/etc/apt/"
  [[ ! -f /etc/apt/sources.list ]] || cp /etc/apt/sources.list "$1/etc/apt/"
  cp -L /etc/resolv.conf "$1/etc/resolv.conf"
  cp -r /etc/apt/apt.conf.d/. "$1/etc/apt/apt.conf.d/"
}

# inside ROOT COMMAND...: with /proc, /dev and a network, and nothing left running or mounted afterwards.
inside() {
  unshare --mount --pid --fork --kill-child sh -ec '
    root=$1; shift
    mount --make-rprivate /
    mount -t proc proc "$root/proc"
    mount --rbind /dev "$root/dev"
    exec chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root DEBIAN_FRONTEND=noninteractive "$@"
  ' sh "$@"
}

# try ROOT FOREBAY: a node that serves /srv/data, and what it serves, compared.
try() {
  cat >"$1/try.sh" <<'TRY'
set -eu
forebay=$1
mkdir -p /srv/data/deep /run/try
head -c 20000000 /dev/urandom >/srv/data/large
echo "a small one" >/srv/data/deep/small
cat >/run/try/forebay.toml <<TOML
[node]
name = "bare"
socket = "/run/try/node.sock"
run_dir = "/run/try/run"
memory = "256MiB"
[[mount]]
name = "data"
url = "file:///srv/data"
secret = "0123456789abcdef0123456789abcdef"
TOML
chmod 0600 /run/try/forebay.toml
"$forebay" config check /run/try/forebay.toml >/dev/null
"$forebay" node --config /run/try/forebay.toml &
node=$!
export FOREBAY_NODE=unix:/run/try/node.sock
tries=0
until "$forebay" status >/dev/null 2>&1; do
  tries=$((tries + 1))
  [ $tries -lt 100 ] || { echo "the node doesn't answer"; exit 1; }
  sleep 0.1
done
"$forebay" cat data/large | cmp - /srv/data/large
[ "$("$forebay" cat data/deep/small)" = "a small one" ]
"$forebay" load --copies all data >/dev/null
if [ -c /dev/fuse ]; then
  mkdir -p /mnt/data
  "$forebay" mount data /mnt/data
  cmp /mnt/data/large /srv/data/large
  "$forebay" umount /mnt/data
else
  echo "no /dev/fuse here: the mount wasn't tried"
fi
kill "$node"
wait "$node"
TRY
  inside "$1" sh /try.sh "$2"
}

prove_deb() {
  local root=$work/deb
  bare "$root"
  cp build/dist/*.deb "$root/"
  inside "$root" sh -ec 'apt-get update -qq; apt-get install -y -qq --no-install-recommends /*.deb >/dev/null
    getent passwd forebay >/dev/null; test -f /lib/systemd/system/forebay.service
    test -f /lib/systemd/system/forebay-helper.service'
  try "$root" /usr/bin/forebay
  inside "$root" sh -ec 'apt-get purge -y -qq forebay >/dev/null; ! command -v forebay'
}

prove_tarball() {
  local root=$work/tarball name
  bare "$root"
  mkdir "$root/opt/somewhere"
  tar -C "$root/opt/somewhere" -xf build/dist/*.tar.gz
  name=$(basename build/dist/*.tar.gz .tar.gz)
  try "$root" "/opt/somewhere/$name/bin/forebay"
}

rm -rf "$work/deb" "$work/tarball"
prove_deb
echo "dist_proof: the .deb installs, runs and goes again in a bare Debian 12"
prove_tarball
echo "dist_proof: the tarball runs in a bare Debian 12"
rm -rf "$work/deb" "$work/tarball"
