# The few verbs. Each sets up what it needs, on a machine that has Python 3.11, Rust and (for tests and benchmarks) apt.
.PHONY: run test test-deploy bench check wheel binary rust-test

VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed
SOURCES := $(shell find rust python -type f \( -name '*.rs' -o -name '*.toml' -o -name '*.py' -o -name '*.pyi' \) -not -path '*/target/*') Cargo.toml Cargo.lock pyproject.toml

# Tidegate on 127.0.0.1:8080 in front of a real server that serves this checkout's documents.
run: wheel
	@tools/run

# Everything that must hold, but formatting, lints and types.
test: wheel rust-test
	@tools/peers
	@$(PY) tools/clients >/dev/null
	@tools/h2spec >/dev/null
	$(PY) -m pytest

# The single file, its installer and service on machines made for it: as root, and for a quarter of an hour.
test-deploy: wheel
	@tools/peers --deploy
	cp Cargo.lock rust/main/ && cd rust/main && cargo fmt --check && cargo clippy --target-dir ../../target --all-targets -- -D warnings
	cargo test --manifest-path rust/main/Cargo.toml --target-dir target
	$(PY) -m pytest tests/deploy

# Everything again, beside nginx, HAProxy and LiteLLM; writes bench/results and the README's table.
bench: wheel
	@bench/setup.sh
	cargo bench --workspace
	$(PY) -m pytest bench/micro --benchmark-only
	$(PY) -m bench.load --stream-minutes 10
	$(PY) -m bench.table

# Formatting, lints, types.
check: wheel
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --all-features -- -D warnings
	cd rust/fuzz && cargo fmt --check && cargo clippy --all-targets -- -D warnings
	cd bench/openloop && cargo fmt --check && cargo clippy --all-targets -- -D warnings
	cd bench/provider && cargo fmt --check && cargo clippy --all-targets -- -D warnings
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(PY) -m mypy.stubtest tidegate._engine

rust-test:
	cargo test --workspace --all-features
	cargo test --manifest-path bench/openloop/Cargo.toml
	cargo test --manifest-path bench/provider/Cargo.toml
	rust/fuzz/smoke.sh --seconds 5

# The built wheel, installed in .venv as a user would install it.
wheel: $(STAMP)

$(VENV)/bin/maturin: pyproject.toml tools/dev-requirements
	python3 -m venv $(VENV)
	$(VENV)/bin/pip install --quiet $$(tools/dev-requirements)
	@touch $@

$(STAMP): $(VENV)/bin/maturin $(SOURCES)
	rm -rf dist
	$(VENV)/bin/maturin build --release --locked --out dist --interpreter $(PY)
	$(VENV)/bin/pip install --quiet --force-reinstall --no-deps dist/tidegate-*.whl
	@touch $@

# The single file, its sums, its bill of materials and its installer, in target/binary/dist.
binary:
	@tools/binary/build
