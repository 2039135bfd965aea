# make demo   a thousand trips in La Serena: a map, files for a GIS, and a table of how good they are
# make test   the whole test suite
# make check  style, types, import rules, lock file
# make bench  the claims of the documentation, measured on this machine
# make clean  everything that the targets above have written

# The first Python of a fitting version that can make environments; or say `make PYTHON=/path/to/python`.
PYTHON ?= $(shell for python in python3.11 python3.12 python3.13 python3; do \
	"$$python" -c 'import ensurepip, sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null \
	&& echo "$$python" && break; done)

MEMBERS := shared/console shared/backbone packages/trajectory[moving,pbf,sumo] packages/policy[metaworld,pusht,robotics,serve] apps/backbone apps/cli
POETRY := poetry==2.5.1
BIN := .venv/bin
PIP := $(BIN)/pip --disable-pip-version-check install --quiet --constraint .venv/constraints.txt
WORKERS ?= 2
PROJECTS := $(wildcard pyproject.toml */*/pyproject.toml)

.PHONY: help .venv demo test check bench clean

help:
	@sed -n 's/^# make/make/p' Makefile

.venv: .venv/ready

# The file `ready` comes last, so that an interrupted set-up is taken up again.
.venv/ready: poetry.lock tools/constraints.py $(PROJECTS)
	@test -n "$(PYTHON)" || { echo "Python 3.11, 3.12 or 3.13 with venv is needed; found none (or name it: make PYTHON=...)" >&2; exit 1; }
	@echo "Setting up .venv with $(PYTHON): a few minutes, once"
	$(PYTHON) -m venv --upgrade-deps .venv
	$(BIN)/python tools/constraints.py > .venv/constraints.txt
	$(PIP) --group dev torch
	$(PIP) --no-build-isolation $(foreach member,$(MEMBERS),--editable '$(member)')
	$(BIN)/pip check
	@touch $@

# Poetry has an environment of its own, for its dependencies are not ours.
.venv/poetry/bin/poetry: | .venv/ready
	$(BIN)/python -m venv .venv/poetry
	.venv/poetry/bin/pip --disable-pip-version-check install --quiet '$(POETRY)'

demo: .venv/ready
	@PATH="$(CURDIR)/$(BIN):$$PATH" bash tools/demo.sh

test: .venv/ready
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile

check: .venv/ready .venv/poetry/bin/poetry
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	.venv/poetry/bin/poetry check --lock

bench: .venv/ready
	$(BIN)/python benchmarks/trajectory_speed.py
	$(BIN)/python benchmarks/trajectory_la_serena.py
	$(BIN)/python benchmarks/policy_speed.py
	@echo "More, hours in all: python benchmarks/{backbone_attention,backbone_idle,backbone_study,policy_curve,policy_arms,policy_serve,trajectory_sf,trajectory_sharpness,trajectory_what_if,trajectory_audit,trajectory_scale,trajectory_search,trajectory_hoser}.py --help"

clean:
	rm -rf .venv demo dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find shared packages apps tests tools -name __pycache__ -type d -prune -exec rm -rf {} +
