#!/usr/bin/env bash
# Makes .venv with what the tests and the Python package need (the files below), once; again when one of them changes.
set -euo pipefail
cd "$(dirname "$0")/.."
files=(tests/requirements.txt python/requirements.txt)
stamp=.venv/.installed
if cmp -s <(cat "${files[@]}") "$stamp"; then
  echo ".venv is there"
  exit 0
fi
# Installed into what is there: whoever runs from it meanwhile goes on.
[[ -x .venv/bin/python ]] || python3 -m venv .venv
.venv/bin/python -m pip install --quiet --disable-pip-version-check "${files[@]/#/--requirement=}"
cat "${files[@]}" >"$stamp"
echo "installed $(cat "${files[@]}" | grep -c '^[a-z]') packages in .venv"
