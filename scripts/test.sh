#!/usr/bin/env bash
# Runs the stages of `make test`, or the named ones: test.sh [STAGE...]
#
#   checks    format, who includes whom, words, trouble.md, and the checks' own tests: seconds
#   asan      the ASan + UBSan tree: build and run every test program
#   fuzz      every fuzz target of that tree, FUZZ_SECONDS each (20), two at a time; seeds in tests/corpus/TARGET
#   tsan      the ThreadSanitizer tree: the test programs of what has threads
#   tidy      clang-tidy on the files of the last 20 commits, newest first, for at most 5 minutes
#   tidy_all  clang-tidy on all files (not part of `make test`)
#   allocations  what warm reads allocate, counted in the release build: a sanitizer's operator new can't be replaced
#   python    the Python package: its wheel over the release build's library, and its tests against a cell of it
#   install   the client library as users have it: installed, built against outside the tree by g++ and clang, run
#   e2e       real processes, mounts and object stores, with the programs of that ASan tree
#
# Prints minutes per stage and what each counted, then one closing line: "N passed, N failed". Fails if anything did.
# A stage that fails doesn't stop the next ones. Logs, and results in JUnit's XML, are in build/test/.
set -uo pipefail
cd "$(dirname "$0")/.."

default_stages=(checks asan fuzz tsan tidy allocations python install e2e)
threaded=(io store reader node frontend)
fuzz_seconds=${FUZZ_SECONDS:-20}
jobs=$(nproc)
results=$PWD/build/test
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_stack_use_after_return=1:strict_string_checks=1:detect_leaks=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
export TSAN_OPTIONS=${TSAN_OPTIONS:-halt_on_error=1:second_deadlock_stack=1}

# count PASSED FAILED: adds to what the running stage has counted.
count() { echo "$1 $2" >>"$results/$stage.counts"; }

# check NAME COMMAND...: one check, quiet unless it fails.
check() {
  local name=$1 log=$results/$stage.$1.log
  shift
  if "$@" >"$log" 2>&1; then
    count 1 0
    tail -n 1 "$log" | sed "s/^/  $name: /"
  else
    count 0 1
    echo "  $name FAILED: $*"
    sed 's/^/    /' "$log" | tail -n 60
    return 1
  fi
}

stage_checks() {
  local bad=0 test
  check format scripts/check_format.sh || bad=1
  check includes scripts/check_includes.py || bad=1
  check words scripts/check_words.py || bad=1
  check trouble scripts/check_trouble.py --strict || bad=1
  check metrics scripts/check_metrics.py || bad=1
  for test in scripts/*_test.py bench/*_test.py; do
    check "$(basename "$test" .py)" python3 "$test" || bad=1
  done
  return $bad
}

# run_tests PRESET: every test program of a tree that was built, and what they counted.
run_tests() {
  local xml=$results/$stage.xml
  rm -rf "$xml"
  mkdir -p "$xml"
  GTEST_OUTPUT=xml:$xml/ GTEST_BRIEF=1 nice ctest --test-dir "build/$1" -j "$jobs" --output-on-failure --no-tests=error \
    --output-junit "$results/$stage.ctest.xml" "${@:2}" || true
  local counted
  counted=$(scripts/count_results.py "$results/$stage.ctest.xml" "$xml") || return 1
  echo "$counted" >>"$results/$stage.counts"
  [[ $counted == *" 0" && $counted != "0 0" ]] # nothing failed, and something ran
}

# start_server KIND VARIABLE: a real object store for this stage, its address in VARIABLE; stop_servers ends it.
start_server() {
  local dir=$results/servers/$1
  rm -rf "$dir"
  check "$1" scripts/real_servers.sh start "$1" "$dir" || return 1
  export "$2=$(python3 -c 'import json, sys; print(json.loads(sys.stdin.readlines()[-1])["endpoint"])' \
    <"$results/$stage.$1.log")"
}
stop_servers() {
  local dir
  for dir in "$results"/servers/*/; do scripts/real_servers.sh stop "$dir"; done
}

stage_asan() {
  check build scripts/build.sh asan || return 1
  local bad=0
  start_server azurite FOREBAY_TEST_AZURE_URL || bad=1
  start_server versitygw FOREBAY_TEST_S3_URL || bad=1
  run_tests asan || bad=1
  stop_servers
  return $bad
}

stage_fuzz() {
  check build scripts/build.sh asan || return 1
  [[ -s build/asan/fuzzers.txt ]] || { echo "  no fuzz targets"; return 0; }
  local outcome bad=0
  while read -r outcome; do
    echo "  $outcome"
    case $outcome in
      *" passed"*) count 1 0 ;;
      *) count 0 1; bad=1 ;;
    esac
  done < <(xargs -P "$jobs" -n 1 scripts/fuzz_one.sh build/asan "$fuzz_seconds" <build/asan/fuzzers.txt)
  return $bad
}

stage_tsan() {
  local module programs=()
  for module in "${threaded[@]}"; do
    [[ -z $(find "src/$module" -name '*_test.cc' -print -quit) ]] || programs+=("${module}_test")
  done
  ((${#programs[@]})) || { echo "  no test programs"; return 0; }
  programs+=(integration_test)  # nodes and clients together
  check build scripts/build.sh tsan "${programs[@]}" || return 1
  run_tests tsan -R "^($(IFS='|'; echo "${threaded[*]}|integration"))$"
}

tidy() {
  local log=$results/$stage.log
  scripts/tidy.py "$@" 2>&1 | tee "$log"
  local status=${PIPESTATUS[0]}
  read -r passed failed < <(sed -n 's/^tidy: \([0-9]*\) files clean, \([0-9]*\) with findings.*/\1 \2/p' "$log")
  count "${passed:-0}" "${failed:-1}"
  return "$status"
}
stage_tidy() { tidy --commits 20 --seconds 300; }
stage_tidy_all() { tidy --all; }

# run_pytest PRESET ARGUMENT...: tests of a tree's programs, and what they counted.
run_pytest() {
  local xml=$results/$stage.xml
  rm -f "$xml"
  FOREBAY_BIN=$PWD/build/$1/bin nice .venv/bin/python -m pytest "${@:2}" -q -n "$jobs" --junitxml "$xml"
  local status=$? counted
  counted=$(scripts/count_results.py "$xml") || counted="0 1"
  echo "$counted" >>"$results/$stage.counts"
  return $status
}

stage_e2e() {
  check build scripts/build.sh asan || return 1
  check python scripts/venv.sh || return 1
  run_pytest asan tests/e2e tests/fake_origin tests/tools --dist worksteal
}

stage_allocations() {
  check build scripts/build.sh release allocations_test || return 1
  local xml=$results/$stage.xml log=$results/$stage.log counted
  rm -f "$xml"
  GTEST_OUTPUT=xml:$xml GTEST_BRIEF=1 timeout 300 build/release/bin/allocations_test >"$log" 2>&1 || tail -n 60 "$log"
  counted=$(scripts/count_results.py "$xml") || counted="0 1"
  echo "$counted" >>"$results/$stage.counts"
  [[ $counted == *" 0" ]]
}

stage_python() {
  check build scripts/build.sh release forebay forebay_fake_origin forebay_library || return 1
  check wheel scripts/python.sh || return 1
  run_pytest release python/tests --dist loadfile
}

stage_install() {
  check build scripts/build.sh release forebay forebay_fake_origin forebay_library || return 1
  check python scripts/venv.sh || return 1
  run_pytest release tests/install --dist loadgroup
}

seconds_as_minutes() { printf '%d:%02d' $(($1 / 60)) $(($1 % 60)); }

stages=("${@:-}")
[[ -n ${stages[0]} ]] || stages=("${default_stages[@]}")
mkdir -p "$results"
trap '[[ ! -d $results/servers ]] || stop_servers' EXIT
summary=() all_passed=0 all_failed=0 bad_stages=0 start=$SECONDS
for stage in "${stages[@]}"; do
  declare -F "stage_$stage" >/dev/null || { echo "test.sh: no stage '$stage'" >&2; exit 2; }
  echo "== $stage"
  rm -f "$results/$stage.counts"
  stage_start=$SECONDS
  if "stage_$stage" </dev/null; then outcome=ok; else outcome=FAILED; bad_stages=$((bad_stages + 1)); fi
  read -r passed failed < <(cat "$results/$stage.counts" 2>/dev/null | awk '{p += $1; f += $2} END {print p + 0, f + 0}')
  # A stage that failed without counting why still counts.
  if [[ $outcome == FAILED && $failed == 0 ]]; then failed=1; fi
  all_passed=$((all_passed + passed)) all_failed=$((all_failed + failed))
  summary+=("$(printf '%-11s %8s %8d %8d  %s' "$stage" "$(seconds_as_minutes $((SECONDS - stage_start)))" "$passed" "$failed" "$outcome")")
done

echo
printf '%-11s %8s %8s %8s\n' stage min:s passed failed
printf '%s\n' "${summary[@]}"
printf '%-11s %8s\n\n' all "$(seconds_as_minutes $((SECONDS - start)))"
echo "$all_passed passed, $all_failed failed"
((bad_stages == 0 && all_failed == 0))
