# SPDX-License-Identifier: Apache-2.0
# Every target works on a fresh Debian 12 and is quiet when there is nothing to do.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
MAKEFLAGS += --no-builtin-rules --no-print-directory

PYTHON ?= /usr/bin/python3
BIN := .venv/bin
LAB_DIR ?= .lab
# Simulated clusters: of `make test`, beyond those that `make check` runs, and of `make sim`.
FIRST_SEED ?= 1000
SEEDS ?= 1000
CHECKED := rgmgr domains tests tools benchmarks fence_agents systemd

.PHONY: help setup packages check lint types imports files fast test sim seeds golden gen demo lab bench bench-corosync bench-crowd bench-detection bench-idle bench-peers bench-placement bench-race bench-scale bench-sim bench-status clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: packages .venv/.extension ## install what is missing: Debian packages (as root), virtual environment, C extension

packages:
	@tools/debian-packages

.venv/.dependencies: pyproject.toml
	@tools/make-venv $(PYTHON)

.venv/.extension: .venv/.dependencies $(wildcard cffi_build/*)
	@tools/build-extension

check: setup lint types imports files fast ## format, lint, types, import rules, drift of generated files, fast tests

lint:
	@$(BIN)/ruff format --check --quiet --output-format concise $(CHECKED) || { echo "format them: $(BIN)/ruff format $(CHECKED)" >&2; exit 1; }
	@$(BIN)/ruff check --quiet --output-format concise $(CHECKED)

types:
	@$(BIN)/mypy --no-error-summary
	@MYPYPATH=fence_agents $(BIN)/mypy --no-error-summary --scripts-are-modules fence_agents/fence_* $(wildcard tools/*.py)

imports:
	@$(BIN)/lint-imports

files:
	@$(BIN)/python tools/check_files.py

fast:
	@$(BIN)/pytest -q -m "not lab"

test: check seeds ## check, more simulated clusters, and the tests on real nodes (root)
	@$(BIN)/pytest -q -m lab

sim: setup ## run simulated clusters: make sim SEEDS=100000; or replay one: make sim SEED=7
	@$(BIN)/rgmgr sim $(if $(SEED),--seed $(SEED) --trace,--seeds $(SEEDS))

seeds: setup
	@$(BIN)/rgmgr sim --first $(FIRST_SEED) --seeds $(SEEDS)

golden: setup ## rewrite the golden files from what the code does now; read the diff
	@$(BIN)/pytest -q -m "not lab" --update-golden
	@git status --short tests/golden tests/simulation/scenarios

gen: setup ## generate the C of the corosync binding anew
	@$(BIN)/python -m cffi.gen_src read-sources rgmgr._corosync \
	  cffi_build/corosync.cdef.txt cffi_build/corosync.csrc.c cffi_build/_corosync.c >/dev/null

demo: setup ## watch a real cluster lose a node to a power cut and recover
	@$(BIN)/rgmgr lab --dir $(LAB_DIR) demo

lab: setup ## boot three real nodes on this machine and leave them up (root)
	@$(BIN)/rgmgr lab --dir $(LAB_DIR) up
	@echo "try: $(BIN)/rgmgr lab --dir $(LAB_DIR) run node1 rgmgr status; end it with: $(BIN)/rgmgr lab --dir $(LAB_DIR) down"

bench-sim: setup ## measure the simulator: seeds per second, and long histories of a big cluster
	@$(BIN)/python benchmarks/simulator.py

bench-status: setup ## measure `rgmgr status` of 16 nodes with 1,000 services; minutes, most of them to start those
	@PYTHONPATH=. $(BIN)/python benchmarks/status.py

bench: setup ## measure status, placement, fence agents, each part of a failover, 200 units on real nodes (root)
	@PYTHONPATH=. $(BIN)/python benchmarks/status.py
	@PYTHONPATH=. $(BIN)/python benchmarks/placement.py
	@PYTHONPATH=. $(BIN)/python benchmarks/agents.py
	@$(BIN)/python benchmarks/failover.py --dir $(LAB_DIR)
	@$(BIN)/python benchmarks/units.py --dir $(LAB_DIR)

bench-placement: setup ## measure placement: 10,000 services, and the cost of an event
	@PYTHONPATH=. $(BIN)/python benchmarks/placement.py

bench-corosync: setup ## measure the binding of corosync against the same loop in C (root)
	@$(BIN)/python -m benchmarks.corosync

bench-detection: setup ## measure how soon corosync sees a power cut, at 2 to 16 nodes (root)
	@$(BIN)/python -m benchmarks.detection

bench-idle: setup ## what a tick costs an idle daemon, from the descriptor to the core and back
	@$(BIN)/python -m benchmarks.idle

bench-peers: setup ## the same work done by rgmgr, Pacemaker and systemd by hand (root; 25 minutes)
	@rm -f $(LAB_DIR)/peers.json
	@$(BIN)/python -m benchmarks.peers --dir $(LAB_DIR) --json $(LAB_DIR)/peers.json --document docs/benchmarks.md

bench-scale: setup ## how the core grows with nodes and services, in simulated clusters
	@$(BIN)/python -m benchmarks.scale --plots docs/benchmarks

bench-crowd: setup ## 16 and 32 real nodes with services, two of them lost at once (root)
	@$(BIN)/python -m benchmarks.crowd --dir $(LAB_DIR) --json $(LAB_DIR)/crowd.json --document docs/benchmarks.md

bench-race: setup ## fifty fence races of two real nodes (root)
	@PYTHONPATH=. $(BIN)/python benchmarks/fence_race.py --dir $(LAB_DIR)

clean: ## take the lab down and remove everything that was made here
	@if [ -d $(LAB_DIR) ] && [ -x $(BIN)/rgmgr ]; then $(BIN)/rgmgr lab --dir $(LAB_DIR) down; fi
	@rm -rf --one-file-system -- .venv $(LAB_DIR) build dist *.egg-info rgmgr/_corosync*.so .coverage .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache rgmgr-sim-*
	@find domains rgmgr tests tools benchmarks fence_agents -name __pycache__ -type d -prune -exec rm -rf {} +
