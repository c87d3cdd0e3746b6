# make setup | demo [CT=path] [OPTIONS=...] | test | lint | docs | bench | clean
#
# Everything is put into .venv, build and install below this folder. Stamps say what is done, so that setup takes no time
# when nothing changed. On a machine with ROS 2, activate it first; then its packages are used and no wheels.

SHELL := /bin/sh
STAMPS := .venv/stamps
RUN := tools/setup/run.sh
CT ?=
OPTIONS ?=
# --tell: a package with a known hole is told, and fails no test.
AUDIT ?=

PACKAGING := setup.cfg setup.py pyproject.toml constraints.txt
INTERFACES := $(shell find liver_seg_interfaces tools/*_msgs -type f)
INSTALLED := package.xml $(shell find liver_seg_ros launch config rviz models resource -type f ! -name '*.pyc' ! -name '*.part' ! -name '.*' 2>/dev/null)

.PHONY: setup setup-dev demo test lint docs bench clean

setup: install/.built
	@echo "ready: .venv/bin/liver-seg, install/"

setup-dev: $(STAMPS)/dev install/.built

# What CT may hold is checked by the demo itself, which answers a wrong path with one line.
demo: setup
	@$(RUN) python tools/demo.py $(if $(CT),"$(CT)") $(OPTIONS)

# A worker per core, a file at a time; OMP_NUM_THREADS, as the workers themselves fill the cores. Hundreds of processes are
# started: where an image says PYTHONDONTWRITEBYTECODE, each would compile all that it imports.
test: setup-dev
	@$(MAKE) --no-print-directory lint AUDIT=--tell
	@PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(RUN) python -m pytest -n auto --dist loadfile --durations 10

lint: setup-dev
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports --no-cache
	@.venv/bin/python tools/audit.py $(AUDIT)
	@$(MAKE) --no-print-directory docs

docs: setup-dev
	@.venv/bin/sphinx-build --quiet --fail-on-warning --keep-going docs build/docs
	@echo "build/docs/index.html"

# Without networks.py, which takes hours, fp16_builds.py, and compare.py, which asks for a revision.
bench: setup-dev
	@for script in $(filter-out $(patsubst %,benchmarks/%.py,networks fp16_builds compare),$(wildcard benchmarks/[!_]*.py)); do echo "== $$script"; $(RUN) python "$$script" || exit 1; done

clean:
	rm -rf .venv build install log .pytest_cache .mypy_cache .ruff_cache .import_linter_cache liver_seg_ros.egg-info

$(STAMPS)/runtime: $(PACKAGING) tools/setup/python_packages.sh tools/setup/relocate_wheels.py tools/setup/system_packages.sh
	@tools/setup/system_packages.sh
	@tools/setup/python_packages.sh
	@touch $@

$(STAMPS)/dev: $(STAMPS)/runtime
	@tools/setup/system_packages.sh dev
	@tools/setup/python_packages.sh cohort dicom train deploy bench dev
	@touch $@

install/.built: $(STAMPS)/runtime $(INTERFACES) $(INSTALLED) tools/setup/colcon_build.sh
	@tools/setup/colcon_build.sh
	@touch $@
