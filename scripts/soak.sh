#!/usr/bin/env bash
# Long runs: soak.sh MINUTES. Half of the time for the fuzz targets (optimised, with sanitizers), a quarter each for the
# tests of the ASan tree and of the TSan tree, over and over in another order each time. The order's seed is printed. Then,
# beyond those minutes, the packages: made, and each installed and run in a bare Debian of its own (scripts/dist_proof.sh).
set -uo pipefail
cd "$(dirname "$0")/.."
minutes=${1:-60}
failed=0

echo "== fuzz targets, $((minutes / 2)) minutes together"
scripts/build.sh fuzz || exit 1
targets=$(grep -c . build/fuzz/fuzzers.txt)
each=$((targets ? minutes * 30 * $(nproc) / targets : 0))
while read -r outcome; do
  echo "  $outcome"
  [[ $outcome == *" passed"* ]] || failed=$((failed + 1))
done < <(grep . build/fuzz/fuzzers.txt | xargs -r -P "$(nproc)" -n 1 scripts/fuzz_one.sh build/fuzz "$each")

for preset in asan tsan; do
  echo "== tests of the $preset tree, $((minutes / 4)) minutes"
  scripts/build.sh "$preset" || exit 1
  end=$((SECONDS + minutes * 15)) round=0
  while ((SECONDS < end)); do
    round=$((round + 1)) seed=$((RANDOM + 1))
    GTEST_SHUFFLE=1 GTEST_RANDOM_SEED=$seed ctest --test-dir "build/$preset" -j "$(nproc)" --output-on-failure -Q \
      -O "build/$preset/soak.log" || {
      failed=$((failed + 1))
      echo "  round $round FAILED with GTEST_RANDOM_SEED=$seed"
      tail -n 60 "build/$preset/soak.log"
    }
  done
  echo "  $round rounds"
done

echo "== packages in bare systems"
scripts/dist.sh && scripts/dist_proof.sh || failed=$((failed + 1))

echo
echo "soak: $failed failed"
((failed == 0))
