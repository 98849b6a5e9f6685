#!/usr/bin/env bash
# Runs one fuzz target for some seconds: fuzz_one.sh TREE SECONDS TARGET. Prints one line: "TARGET passed: ..." or
# "TARGET FAILED: ...". Seeds are in tests/corpus/TARGET; what it finds interesting stays in TREE/corpus/TARGET, and an
# input that broke it in TREE/crashes/.
set -uo pipefail
cd "$(dirname "$0")/.."
tree=$1 seconds=$2 target=$3
corpus=$tree/corpus/$target log=$tree/corpus/$target.log
mkdir -p "$corpus" "$tree/crashes"
dirs=("$corpus")
[[ ! -d tests/corpus/$target ]] || dirs+=("tests/corpus/$target")

# 2 GiB and 10 s for one input: whoever needs more has no bound.
if nice "$tree/bin/$target" -max_total_time="$seconds" -rss_limit_mb=2048 -timeout=10 -print_final_stats=1 \
  -artifact_prefix="$tree/crashes/$target-" "${dirs[@]}" >"$log" 2>&1; then
  echo "$target passed: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") inputs in $seconds s"
else
  echo "$target FAILED: $(grep -m 1 -E 'SUMMARY|ERROR|No such' "$log"); whole log in $log"
  grep -E '^ +#[0-9]+ |ERROR|runtime error|Test unit written' "$log" | head -n 30 >&2
fi
