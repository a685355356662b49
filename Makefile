# make setup, demo, run, test, lint, bench, lock, clean. Arguments of a command go in ARGS: make demo ARGS=--once
SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help setup dev demo run test lint format bench lab-report alerts dashboards runbooks lock clean

BIN := .venv/bin
EXPORTER := $(BIN)/outlook-auth-exporter
ARGS ?=

help:
	@echo 'make demo    the whole product on an embedded Outlook.com: no root, no credentials'
	@echo 'make run     the service; ARGS="--config exporter.yml"'
	@echo 'make setup   only .venv with the command in it'
	@echo 'make test    all tests; the Debian packages that they need are named, then installed'
	@echo 'make lint    ruff and strict types'
	@echo 'make bench   the measurements of benchmarks/'
	@echo 'make lab-report  how right the verdicts are, over every scenario of tests/netlab (root)'
	@echo 'make alerts  alerts/rules.yml and the alerts'\'' runbooks anew from alerts/source.yaml'
	@echo 'make dashboards  dashboards/json for Grafana anew from dashboards/*.py'
	@echo 'make lock    the lock files anew from pyproject.toml; UPGRADE=1 takes newer versions'
	@echo 'make runbooks  docs/runbooks anew from exporter/diagnosis/causes.yaml'
	@echo 'make clean   removes what these made, .venv included'

setup: .venv/installed .venv/compiled

dev: .venv/installed-dev

# Only a changed lock file, or pyproject.toml with the command's name, makes these run again.
.venv/installed: requirements.lock requirements-build.lock pyproject.toml
	@scripts/make-venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-build.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

.venv/installed-dev: .venv/installed requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

# Machine code of the inspector's hot modules, half a minute, where a C compiler is at hand. It is of these very sources:
# what is edited is interpreted until this runs again.
.venv/compiled: .venv/installed requirements-native.lock scripts/compile_wire.py \
		$(wildcard exporter/compiled.py exporter/wire/*.py exporter/wire/inference/*.py exporter/protocols/*.py)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-native.lock
	@scripts/compile-wire $(BIN)/python
	@touch $@

demo: .venv/installed
	@exec $(EXPORTER) demo $(ARGS)

run: setup
	@exec $(EXPORTER) run $(ARGS)

test: dev
	@scripts/install-test-packages
	$(BIN)/python -m pytest -n 3 --dist loadfile $(ARGS)

lint: dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: dev .venv/compiled
	@scripts/install-test-packages
	$(BIN)/python -m benchmarks $(ARGS)

# Needs root: network namespaces, iptables, tcpdump. Some four minutes.
lab-report: dev
	@scripts/install-test-packages
	@$(BIN)/python -m tests.netlab.report $(ARGS)

alerts: dev
	$(BIN)/python -m alerts.render
	$(BIN)/python -m dashboards.render

dashboards: dev
	$(BIN)/python -m dashboards.render

runbooks: setup
	$(BIN)/python -m exporter.diagnosis.runbooks docs/runbooks

lock:
	@scripts/lock $(if $(UPGRADE),--upgrade)

clean:
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage .coverage.*
	find . -path ./.git -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +
