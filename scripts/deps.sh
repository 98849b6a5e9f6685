#!/usr/bin/env bash
# Installs what Forebay needs to build: deps.sh [--test | --python | --dist | --bench | --compare | --demo fake|azurite] adds what they need.
# Says what it installs, uses sudo where it isn't root, and does nothing where everything is there.
set -euo pipefail

build_packages=(
  clang-19 clang-tidy-19 clang-format-19 libclang-rt-19-dev lld-19 llvm-19
  cmake ninja-build ccache pkg-config git python3
  libboost1.81-dev libboost-json1.81-dev libboost-url1.81-dev
  libfmt-dev libspdlog-dev libcli11-dev libtomlplusplus-dev
  libssl-dev libcurl4-openssl-dev libxxhash-dev libisal-dev libpugixml-dev liburing-dev
  protobuf-compiler libprotobuf-dev
  libgtest-dev libgmock-dev libbenchmark-dev
)
python_packages=(python3-venv python3-dev)
test_packages=(fuse3 curl procps attr g++ "${python_packages[@]}") # g++: tests/install builds with it as users do

dist_packages=(dpkg-dev patchelf debootstrap) # debootstrap: for `make soak`, which installs what was made
bench_packages=(fuse3 iproute2)               # `ip` and `tc`: hosts on slow links
compare_packages=("${bench_packages[@]}" rclone s3fs) # other systems that `make bench` runs beside where they are there
demo_packages=(fuse3) # users who aren't root mount by its helper

# Azurite and versitygw come from npm and from the Go proxy: see scripts/real_servers.sh.
want_node() {
  command -v node >/dev/null || want+=(nodejs)
  command -v npm >/dev/null || want+=(npm)
}

want=("${build_packages[@]}")
case ${1:-} in
  --test)
    want+=("${test_packages[@]}")
    want_node
    ;;
  --dist) want+=("${dist_packages[@]}") ;;
  --bench) want+=("${bench_packages[@]}") ;;
  --compare) want+=("${compare_packages[@]}") ;;
  --python) want+=("${python_packages[@]}") ;;
  --demo)
    want+=("${demo_packages[@]}")
    [[ ${2:-} != azurite ]] || want_node
    ;;
esac

missing=()
for package in "${want[@]}"; do
  dpkg-query -W -f='${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
done
if ((${#missing[@]} == 0)); then
  echo "deps: all ${#want[@]} Debian packages are there"
  exit 0
fi

as_root=()
if ((EUID != 0)); then
  command -v sudo >/dev/null || {
    echo "deps: these Debian packages are missing and neither root nor sudo is at hand: ${missing[*]}" >&2
    exit 1
  }
  as_root=(sudo)
fi
echo "deps: installing ${#missing[@]} Debian packages: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
echo "deps: done"
