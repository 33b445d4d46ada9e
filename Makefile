# Two commands matter: `make demo` and `make test`. Both make .venv themselves.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test check bench lock clean

.venv/installed: pyproject.toml constraints.txt
	@echo "Installing into .venv; the first time takes about a minute."
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@# Only its data sets are read, by tests that are skipped without it
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps nannyml || true
	@touch $@

demo: .venv/installed
	@$(BIN)/driftgate demo

# What fails beside other tests is tried once more by itself: a busy machine is no fault of the product.
AGAIN := --last-failed --last-failed-no-failures none

test: .venv/installed
	$(BIN)/python -m pytest -n 3 --dist loadfile -m "not alone" || $(BIN)/python -m pytest $(AGAIN) -m "not alone"
	$(BIN)/python -m pytest -m alone || $(BIN)/python -m pytest $(AGAIN) -m alone

check: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy -p driftgate
	$(BIN)/mypy tests loadtests
	$(BIN)/lint-imports

# Compares with a bare application and a usual one, for about half an hour. BENCH=--quick takes minutes.
bench: .venv/installed
	$(BIN)/python -m loadtests bench $(BENCH)

# Writes the versions that are installed now as the ones everybody gets.
lock: .venv/installed
	$(BIN)/python -m pip freeze --exclude-editable | grep -v '^nvidia-' > constraints.txt

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache
