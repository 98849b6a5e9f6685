#!/usr/bin/env bash
# Makes .venv with what tests/e2e needs (tests/requirements.txt), once; again when that file changes.
set -euo pipefail
cd "$(dirname "$0")/.."
stamp=.venv/.installed
if cmp -s tests/requirements.txt "$stamp"; then
  echo ".venv is there"
  exit 0
fi
rm -rf .venv
python3 -m venv .venv
.venv/bin/python -m pip install --quiet --disable-pip-version-check -r tests/requirements.txt
cp tests/requirements.txt "$stamp"
echo "installed $(grep -c '^[a-z]' tests/requirements.txt) packages in .venv"
