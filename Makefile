# Everything a newcomer needs: `make demo` and `make test` do their own set-up in .venv.
PYTHON ?= python3
WORKERS ?= 2
VENV := .venv
BIN := $(VENV)/bin
# Compiled once here, or every one of the tests' many processes compiles torch again where Python may not write.
INSTALL := $(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --constraint constraints.txt

.PHONY: help demo test test-base test-others test-long bench steps lint docs dist format clean

help:
	@echo "make demo        three fusions of the bundled checkpoint on fresh scenes -> runs/demo/index.html"
	@echo "make test        every check and every test"
	@echo "make test-base   bad inputs to every command and function of a base install, in .venv-base"
	@echo "make test-others other tools as oracles, in .venv-others and .venv-tools: they take our results, we read theirs"
	@echo "make test-long   a real training step of each of the paper's recipes at full size (an hour on a laptop)"
	@echo "make bench       whole processes of unipan pq beside hotcoco: time and memory"
	@echo "make steps       training steps with and without the affinity head: what it costs"
	@echo "make lint        ruff, mypy, import-linter"
	@echo "make docs        the documentation site -> site/index.html"
	@echo "make dist        sdist and wheel -> dist/, and tests run from the unpacked sdist"
	@echo "make format      let ruff put the code in order"
	@echo "make clean       forget the environment and the caches (runs/ stays)"

# The stamps are newer than what they were made from, so a second make starts at once.
$(VENV)/.uv:
	@$(PYTHON) -c 'import sys; sys.exit("unipan needs Python >= 3.11: make PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv
	@touch $@

$(VENV)/.core: $(VENV)/.uv pyproject.toml constraints.txt
	@echo "installing unipan and what inference needs (torch is several GB) ..."
	$(INSTALL) --editable '.[torch]'
	@touch $@

$(VENV)/.dev: $(VENV)/.uv pyproject.toml constraints.txt
	@echo "installing unipan with everything its tests need (torch is several GB) ..."
	$(INSTALL) --editable '.[dev]'
	@# An oracle of the tests. Its own dependencies (19 packages, some obsolete) are not needed for what they call.
	$(INSTALL) --no-deps cityscapesscripts pyquaternion
	@touch $@ $(VENV)/.core

demo: $(VENV)/.core
	$(BIN)/unipan demo --out runs/demo

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint
	@# By files: the tests of a file share what it measures or trains once. In their order: by default files of few tests
	@# come last, and the longest ones are such, so that one core waits for minutes.
	OMP_NUM_THREADS=1 $(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

$(VENV)-base/.base: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)-base
	$(VENV)-base/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv
	$(VENV)-base/bin/uv pip install --quiet --python $(VENV)-base/bin/python --constraint constraints.txt --editable .
	@touch $@

test-base: $(VENV)-base/.base
	$(VENV)-base/bin/python -m tests.bad_input.run --base --check

# Libraries that our results go to, and that bring a second OpenCV or Qt: they stay out of the other environments.
OTHERS := supervision transformers napari labelme
$(VENV)-others/.others: pyproject.toml constraints.txt constraints-others.txt
	$(PYTHON) -m venv $(VENV)-others
	$(VENV)-others/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv
	$(VENV)-others/bin/uv pip install --quiet --python $(VENV)-others/bin/python --constraint constraints.txt \
		--constraint constraints-others.txt --editable '.[torch]' pytest hypothesis beartype $(OTHERS)
	@touch $@

# Labelling tools and evaluators, an environment each: their wishes for numpy contradict each other and ours.
TOOLS := datumaro labelbox label-studio-sdk segments-ai panopticapi evaluators
$(VENV)-tools/.%: tests/other_tools/environments/%.txt $(VENV)/.uv
	$(BIN)/uv venv --quiet --clear --python $(PYTHON) $(VENV)-tools/$*
	@# Each list is whole; what its packages ask of each other beyond it (numba of old, say) is not needed.
	$(BIN)/uv pip install --quiet --no-deps --python $(VENV)-tools/$*/bin/python --requirement $<
	@touch $@

test-others: $(VENV)/.dev $(VENV)-others/.others $(TOOLS:%=$(VENV)-tools/.%)
	@# What is missing would be skipped: it is imported first.
	QT_QPA_PLATFORM=offscreen $(VENV)-others/bin/python -c "import supervision, transformers, napari.layers, labelme._label_file"
	QT_QPA_PLATFORM=offscreen OMP_NUM_THREADS=1 $(VENV)-others/bin/python -m pytest -rs tests/panoptic/test_exports.py \
		-k "test_supervision or test_huggingface_is_what_transformers_writes or test_napari_takes_them or test_labelme_reads_it"
	ln -sfn ../$(VENV)-others $(VENV)-tools/transformers
	UNIPAN_TOOLS=$(VENV)-tools OMP_NUM_THREADS=1 $(BIN)/pytest -n 0 -rs tests/other_tools

test-long: $(VENV)/.dev
	$(BIN)/python benchmarks/recipes.py

bench: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/evaluation.py

steps: $(VENV)/.dev
	$(BIN)/python benchmarks/steps.py

docs: $(VENV)/.dev
	$(BIN)/python -m mkdocs build --strict

dist: $(VENV)/.dev
	$(BIN)/python tests/check_dist.py

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) $(VENV)-base $(VENV)-others build dist site .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
