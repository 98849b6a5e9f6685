#!/usr/bin/env bash
# Configures and builds one preset: build.sh PRESET [TARGET...]. Ninja shows its progress where there is a terminal.
set -euo pipefail
cd "$(dirname "$0")/.."
preset=${1:?usage: build.sh PRESET [TARGET...]}
shift

# Three trees of this project take well under 1 GiB in the cache; the bound keeps a small disk from filling.
export CCACHE_MAXSIZE=${CCACHE_MAXSIZE:-4G}

if ! log=$(cmake --preset "$preset" 2>&1); then
  printf '%s\n' "$log" >&2
  exit 1
fi
exec cmake --build "build/$preset" ${1:+--target "$@"}
