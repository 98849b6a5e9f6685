#!/usr/bin/env bash
# Fails on a C++ file that isn't as clang-format writes it, and names each; `make format` mends them.
set -euo pipefail
cd "$(dirname "$0")/.."
mapfile -t files < <(git ls-files -- '*.cc' '*.h' '*.cpp' '*.hpp' | while read -r file; do [[ ! -f $file ]] || echo "$file"; done)
((${#files[@]})) || { echo "no C++ files"; exit 0; }
printf '%s\0' "${files[@]}" | xargs -0 -P "$(nproc)" -n 24 clang-format-19 --dry-run -Werror
echo "${#files[@]} files"
