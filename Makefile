# Every target first creates .venv with the pinned requirements that it needs.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup test-versions quick reproduce pretrained portable lint test test-long nightly parity test-mnist test-extras test-notebooks test-page setup-backends test-backends faults fuzz mutants audit lock bench gpu notebooks class

setup: .venv/.ready

INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.venv/.ready: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else \
	"This is Python %d.%d; TensorFlow 2.21 needs 3.11 to 3.13: make PYTHON=python3.12 ..." % v)'
	$(PYTHON) -m venv .venv
	$(INSTALL) --require-hashes -r requirements.txt
	$(INSTALL) --no-deps --no-build-isolation -e .
	touch $@

.venv/.ready-test: .venv/.ready requirements/test.txt requirements/keras2.txt
	$(INSTALL) --require-hashes -r requirements/test.txt
	$(INSTALL) --require-hashes --no-deps -r requirements/keras2.txt
	touch $@

# The build of PyTorch for CPUs needs PyTorch's own index, e.g. in PIP_EXTRA_INDEX_URL.
.venv/.ready-backends: requirements/backends.txt requirements/torch.txt .venv/.ready-test
	$(INSTALL) --require-hashes -r requirements/backends.txt
	$(INSTALL) --no-deps -r requirements/torch.txt
	touch $@

# What a target needs in addition: extras, notebooks, page, mutants, audit
.venv/.ready-%: requirements/%.txt .venv/.ready-test
	$(INSTALL) --require-hashes -r $<
	touch $@

quick: setup            # a first result in a minute, on 5,000 digits
	$(BIN)/python reproduce.py --quick --overwrite

reproduce: setup        # the main job; it continues an interrupted job
	$(BIN)/python reproduce.py --resume

pretrained: setup       # trains the pretrained run again, and says whether every bit agrees; needs MNIST
	$(BIN)/python benchmarks/train_again.py

EMULATED ?= --emulated
# Compares the bits of 3 steps between numbers of threads and processors; emulated ones need qemu-user.
portable: setup         # make portable EMULATED= leaves them out
	$(BIN)/python benchmarks/portable.py $(EMULATED)

lint: .venv/.ready-test
	$(BIN)/ruff check
	$(BIN)/ruff format --check

PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile
# The tests with these marks need something more, and have targets of their own.
EXTRA := mnist or notebooks or extras or browser or backends
test: lint              # needs no network, no MNIST and no browser
	$(PYTEST) -m "not (long or $(EXTRA))"

PART ?= 0/1
test-long: .venv/.ready-test   # repeats tests in more settings, all or a part: make test-long PART=2/3
	$(PYTEST) -m "long and not ($(EXTRA))" --part $(PART)

# The targets below leave out their long tests, too, but for LONG=1.
LONG ?=
SHORT := $(if $(LONG),,and not long)

SEARCH := PYTHONPATH=.:tests/helpers $(BIN)/python
COUNT ?= 40
SEED ?= 0
parity: .venv/.ready-test   # compares every bit of both implementations on random configs and data: make parity COUNT=1000 SEED=0
	$(SEARCH) tests/search/parity_search.py --count $(COUNT) --seed $(SEED)

test-mnist: .venv/.ready-test   # needs all of MNIST: MNIST_NPZ=/absolute/path/mnist.npz make test-mnist
	$(PYTEST) -m "mnist $(SHORT)"

test-extras: .venv/.ready-extras   # tests ONNX and TensorBoard
	$(PYTEST) -m "extras $(SHORT)"

setup-backends: .venv/.ready-backends   # adds JAX and PyTorch to .venv

test-backends: .venv/.ready-backends   # tests keras_vae on JAX and PyTorch, and training by several workers
	$(PYTEST) -m "backends $(SHORT)"

notebooks: .venv/.ready-notebooks   # executes all notebooks, or some: make notebooks NAMES="01 03"
	$(BIN)/python notebooks/execute.py $(NAMES)

class: .venv/.ready-notebooks   # builds the slides and the handout of the class from their Markdown, after the notebooks
	$(BIN)/python benchmarks/class_pages.py

ORIGINALS := $(filter-out %.zh-CN.ipynb,$(wildcard notebooks/*.ipynb))
# Executes every notebook, or those of NAMES, with short runs, and checks the answers to its exercises. A translation is
# not executed: it is built with the code and the outputs of the original, which `make test` checks.
test-notebooks: .venv/.ready-notebooks
	FAST=1 $(PYTEST) --nbmake --nbmake-kernel=python3 $(or $(foreach name,$(NAMES),$(filter notebooks/$(name)%,$(ORIGINALS))),$(ORIGINALS))
	FAST=1 $(PYTEST) -m notebooks tests/project

test-page: .venv/.ready-page    # tests the page in Chromium, and installs Chromium if possible
	@$(BIN)/python tests/helpers/browser.py
	$(PYTEST) -m "browser $(SHORT)"

KILLS ?= 70
WRITES ?= 10000
faults: .venv/.ready-test   # kills trainings and lets their writes fail, and resumes them to the same bits
	$(SEARCH) tests/search/faults.py --kills $(KILLS) --writes $(WRITES) --seed $(SEED)

test-versions: .venv/.ready-test   # compares every bit with the lowest and highest supported versions, and with Colab's; 10 GB in .venv-versions
	$(SEARCH) tests/search/versions.py

fuzz: .venv/.ready-test     # reads damaged and foreign files: make fuzz COUNT=20000
	$(SEARCH) tests/search/fuzz.py --count $(COUNT) --seed $(SEED)

nightly: test test-long   # everything that takes too long for every change; needs MNIST
	$(MAKE) parity COUNT=400 SEED=$(SEED)
	$(MAKE) test-extras test-notebooks test-page test-mnist test-backends LONG=1
	$(MAKE) faults fuzz COUNT=20000 SEED=$(SEED)
	$(MAKE) test-versions

MODULES ?=
mutants: .venv/.ready-mutants   # makes small changes in the core, for each of which a test must fail; takes minutes per module
	$(SEARCH) tests/search/mutation.py $(MODULES)

audit: .venv/.ready-audit   # looks for known vulnerabilities in the pinned packages; needs a network
	@for file in requirements.txt $(filter-out requirements/torch.txt,$(wildcard requirements/*.txt)); do echo "$$file"; $(BIN)/pip-audit --strict --disable-pip --require-hashes -r $$file || exit 1; done

# Writes requirements.txt and requirements/*.txt, with the hashes of all packages, from requirements/*.in
LOCK := $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate
lock: .venv/.ready-audit
	$(LOCK) --python-version 3.11 requirements/base.in -o requirements.txt
	for name in test extras page backends mutants audit; do $(LOCK) --python-version 3.11 -c requirements.txt \
	requirements/$$name.in -o requirements/$$name.txt || exit 1; done
	$(LOCK) --python-version 3.11 --no-deps requirements/keras2.in -o requirements/keras2.txt
	$(LOCK) --python-version 3.11.5 -c requirements/test.txt requirements/notebooks.in -o requirements/notebooks.txt

bench: setup            # seconds per epoch, start, evaluation and growth; with PyTorch and JAX after make setup-backends
	$(BIN)/python benchmarks/bench.py

gpu: setup              # parity, seconds and ELBOs on a GPU beside the CPU; what to install first: docs/scaling.md
	$(BIN)/python benchmarks/gpu.py
