# Everything that is done with this repository. `make help` lists the targets.
.POSIX:
.DEFAULT_GOAL := help
SHELL = /bin/sh
VENV ?= .venv
BIN = $(VENV)/bin
EXPERIMENT ?= experiments/network_congestion.json
TESTS ?=

.PHONY: help venv demo test test-deps test-quick test-thorough test-backends test-netem trust test-kill-shipped soak lint bench bench-netem lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' Makefile

venv: ## a virtual environment in .venv with everything that development needs
	@VENV=$(VENV) .ci/venv dev

demo: ## install into .venv and run the main job on the embedded stack (no Docker, no root)
	@VENV=$(VENV) .ci/venv run
	$(BIN)/chaos run $(EXPERIMENT)

test: ## every test but the long suites (with CI=true it installs what it needs through apt-get)
	@.ci/packages
	@.ci/docker
	@VENV=$(VENV) .ci/venv dev
	$(BIN)/python -m pytest -m 'not thorough' $(TESTS)

test-thorough: venv ## the tests that `make test` leaves out: the same harms on more targets, ways and ends
	$(BIN)/python -m pytest -m thorough $(TESTS)

test-deps: ## install and start a Docker engine with the base image that tests use (root, Debian)
	@TEST_DEPS=yes .ci/docker

test-quick: venv ## the tests that take less than a few seconds each
	$(BIN)/python -m pytest -m 'not slow and not thorough and not needs_node and not needs_docker' $(TESTS)

test-backends: venv ## only the tests against real third-party servers (need node and npm)
	$(BIN)/python -m pytest -m needs_node $(TESTS)

test-netem: venv ## network faults on a real Debian kernel with netem, in qemu (TEST_DEPS=yes installs what it takes)
	@VENV=$(VENV) .ci/netem

trust: venv ## every mutant of the embedded stack five times, 100 clean runs, equals compared; resumable, about four hours
	$(BIN)/chaos trust --times 5 --clean 100 --steady 6

soak: venv ## kills at every step of every fault, then 200 at random, on processes and containers; prints what is left: 0
	$(BIN)/python -m tests.longer.kill_soak --matrix
	$(BIN)/python -m tests.longer.kill_soak --times 200

test-kill-shipped: venv ## kill -9 in the middle of each shipped experiment on the compose stack; needs a Docker engine
	$(BIN)/python -m tests.longer.kill_shipped

lint: venv ## style, types and the arrows between rooms
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: venv ## every benchmark; results in benchmarks/results/
	$(BIN)/python -m benchmarks

bench-netem: venv ## the kernel's carriers beside plain `tc netem` on a real Debian kernel, in qemu
	@VENV=$(VENV) .ci/netem $(BIN)/python -m benchmarks.netem

lock: venv ## resolve the dependencies again into requirements/*.txt
	$(BIN)/python -m uv pip compile --quiet --universal --upgrade --python-version 3.11 --generate-hashes \
	  --no-annotate --no-emit-index-url --custom-compile-command 'make lock' \
	  --group dev pyproject.toml --output-file requirements/dev.txt
	$(BIN)/python -m uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	  --no-annotate --no-emit-index-url --custom-compile-command 'make lock' \
	  --constraint requirements/dev.txt pyproject.toml --output-file requirements/run.txt

clean: ## remove what was built and installed here (runs/ is kept)
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .cache
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
