# One door to everything. `make` lists it.
SHELL := /bin/bash
ORIGIN ?= fake
MINUTES ?= 60

.DEFAULT_GOAL := help
.PHONY: help deps deps-compare build python demo demo-stop test lint dist soak bench format clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

deps:  ## install what the build needs (Debian packages; says which; sudo where not root)
	@scripts/deps.sh

deps-compare:  ## install other systems that `make bench` runs beside (Debian packages: rclone, s3fs)
	@scripts/deps.sh --compare

build: deps  ## the release build: build/release/bin/forebay
	@scripts/build.sh release

python:  ## the Python package's wheel: build/python/forebay-*.whl
	@scripts/deps.sh --python
	@scripts/python.sh

demo:  ## five nodes on this machine, without and with Forebay (ORIGIN=fake or azurite)
	@scripts/deps.sh --demo $(ORIGIN)
	@scripts/build.sh release forebay forebay_fake_origin
	@python3 scripts/demo.py run --origin $(ORIGIN)

demo-stop:  ## stop what `make demo` left running
	@python3 scripts/demo.py stop

test:  ## everything that must hold: checks, sanitizers, fuzz targets, clang-tidy, end to end (about 43 minutes)
	@scripts/deps.sh --test
	@scripts/test.sh

lint: deps  ## all checks and clang-tidy on all files
	@scripts/test.sh checks tidy_all

dist:  ## packages of this version: build/dist/*.deb and *.tar.gz
	@scripts/deps.sh --dist
	@scripts/dist.sh

soak:  ## fuzz targets and repeated tests for a long time (MINUTES=60), then the packages in bare systems
	@scripts/deps.sh --test
	@scripts/deps.sh --dist
	@scripts/soak.sh "$(MINUTES)"

bench:  ## measure against what the machine can do (ONLY=name for one): build/bench/report.json, bench/RESULTS.md
	@scripts/deps.sh --bench
	@scripts/build.sh release
	@python3 bench/run.py $(if $(ONLY),--only $(ONLY))

format:  ## clang-format on every C++ file
	@git ls-files -- '*.cc' '*.h' '*.cpp' '*.hpp' | xargs -r clang-format-19 -i

clean:  ## remove build/ (and nothing else)
	@rm -rf build
