# Two commands matter: `make demo` and `make test`. Each sets up what it needs; a second run installs nothing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
export PATH := $(abspath $(BIN)):$(PATH)

.DEFAULT_GOAL := help
.PHONY: help demo unit test test-long test-cluster mutate coverage bench render images release version image-names lint format lock clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/bin/uv: requirements/uv.txt
	@command -v "$(PYTHON)" >/dev/null || { echo "$(PYTHON) is not installed here: install Python 3.11, 3.12 or 3.13, or name another with make PYTHON=python3.12" >&2; exit 2; }
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(not (3, 11) <= v < (3, 14) and f"Python {v[0]}.{v[1]} will not do: TensorFlow has wheels for 3.11 to 3.13; name one with make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip --quiet install --require-hashes --requirement requirements/uv.txt
	@touch $@

$(READY): $(VENV)/bin/uv requirements/dev.txt pyproject.toml
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --compile-bytecode --require-hashes --requirement requirements/dev.txt
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(READY)  ## train on real data with two workers, serve the model, ask it (KEEP=1 keeps serving)
	@$(BIN)/colchis demo $(if $(KEEP),--keep)

UNIT := not servers and not tensorflow and not browser and not cluster and not long

unit: $(READY)  ## the tests that take seconds: no servers, no TensorFlow, no browser, no cluster
	$(BIN)/pytest --quiet --numprocesses=2 -m "$(UNIT)"

test: $(READY)  ## lint, types and all tests that need no cluster
	$(BIN)/ruff check --quiet
	$(BIN)/ruff format --quiet --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo 2>/dev/null || $(BIN)/lint-imports
	$(BIN)/deptry steps workflows 2>/dev/null || $(BIN)/deptry steps workflows
	$(BIN)/pytest --quiet --numprocesses=2 -m "$(UNIT)"
	$(BIN)/pytest --numprocesses=2 --dist=loadfile -m "(servers or tensorflow or browser) and not cluster and not long"

CLIENTS := .clients/ready
$(CLIENTS): requirements/clients.txt requirements/serving-api.txt $(VENV)/bin/uv
	$(BIN)/uv venv --quiet --allow-existing --python $(PYTHON) .clients
	VIRTUAL_ENV=.clients $(BIN)/uv pip install --quiet --require-hashes --requirement requirements/clients.txt
	$(BIN)/uv pip install --quiet --require-hashes --no-deps --target .clients/serving --requirement requirements/serving-api.txt
	@touch $@

EXAMPLES := 07-scikit-learn 08-xgboost 09-pytorch
.examples/%/ready: examples/%/requirements.txt $(VENV)/bin/uv
	$(BIN)/uv venv --quiet --allow-existing --python $(PYTHON) .examples/$*
	VIRTUAL_ENV=.examples/$* $(BIN)/uv pip install --quiet --require-hashes --requirement $<
	echo "$(abspath steps)" > "$$(.examples/$*/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/colchis.pth"
	@touch $@

test-long: $(READY) $(CLIENTS) $(EXAMPLES:%=.examples/%/ready)  ## what takes minutes: results go to docs/
	$(BIN)/pytest -m "long"

test-cluster: $(READY) $(CLIENTS)  ## the cluster suite, against the cluster of $$KUBECONFIG
	$(BIN)/pytest tests/cluster tests/images -m "cluster and not long" --numprocesses=2 --durations=15

mutate: $(READY)  ## change the pure cores one operator at a time; list the changes that no test notices (minutes)
	rm -rf .mutation && mkdir .mutation
	cp -R steps/colchis_steps workflows tests benchmarks pyproject.toml .mutation
	cp -R workflows/colchis_workflows .mutation
	cd .mutation && mutmut run && mutmut results

coverage: $(READY)  ## the tests of make test, measured; prints the modules with the most lines that none runs
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -m "$(or $(MARKERS),not cluster and not long)"
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

bench: $(READY)  ## race against named rivals: RACE=pack; benchmarks/README.md lists the races (OPTIONS are the race's own)
	@[ -f "benchmarks/$(RACE).py" ] || { echo "name a race with RACE=: $(notdir $(basename $(filter-out benchmarks/_%,$(wildcard benchmarks/*.py))))" >&2; exit 2; }
	@$(BIN)/python -m benchmarks.$(RACE) $(OPTIONS)

render: $(READY)  ## write workflows/manifests from the templates
	$(BIN)/colchis render

VERSION = $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
IMAGES ?= steps data train serve serve-onnx storage

version:  ## print the version, which pyproject.toml has
	@echo $(VERSION)

image-names:  ## print the images' names
	@echo $(IMAGES)

DIST ?= dist

images:  ## build the images with docker, podman or buildah (PUSH=registry/prefix pushes; ENGINE, BUILD_OPTIONS, PUSH_OPTIONS)
	@engine=$(ENGINE); for e in docker podman buildah; do [ -n "$$engine" ] || ! $$e info >/dev/null 2>&1 || engine=$$e; done; \
	[ -n "$$engine" ] || { echo "neither docker, podman nor buildah works here: install or start one, or name it with ENGINE=" >&2; exit 1; }; \
	revision=$$(git describe --always --abbrev=40 --exclude='*' --dirty 2>/dev/null || echo unknown); \
	for image in $(IMAGES); do \
	  reference=$(or $(PUSH),colchis)/$$image:$(VERSION); echo "$$engine: $$reference"; \
	  BUILDAH_LAYERS=true $$engine build --file images/$$image/Dockerfile --tag $$reference \
	    --build-arg VERSION=$(VERSION) --build-arg REVISION=$$revision $(BUILD_OPTIONS) . || exit; \
	  $(if $(PUSH),mkdir -p $(DIST)/digests; digest=$(DIST)/digests/$$image; \
	  if [ $${engine##*/} = docker ]; then \
	    docker push $(PUSH_OPTIONS) $$reference && docker image inspect --format '{{range .RepoDigests}}{{println .}}{{end}}' $$reference \
	      | sed -n "s|^$${reference%:*}@||p" > $$digest; \
	  else $$engine push --digestfile $$digest $(PUSH_OPTIONS) $$reference; fi || exit;) \
	done

RELEASE = $(DIST)/release
REGISTRY = $(or $(PUSH),ghcr.io/colchis)
# what an image was installed from, each package once: serve has what train has, and more
LOCKS = $(if $(filter serve,$(1)),requirements/train.txt) requirements/$(1).txt
SBOM = awk '/^[^ \#]/ {new = !seen[$$0]++} new' $(call LOCKS,$(1)) | $(BIN)/python -W ignore -m cyclonedx_py requirements \
  --pyproject pyproject.toml --output-reproducible --output-file $(RELEASE)/$(1).cdx.json -

release: $(READY)  ## what a release holds, in dist/release: wheel, manifests by digest (after make images PUSH=…), SBOMs, checksums
	@rm -rf $(RELEASE) && mkdir -p $(RELEASE)
	@$(BIN)/colchis render --to $(RELEASE)/manifests --registry $(REGISTRY) --tag $(VERSION) --digests $(DIST)/digests
	@cp -R workflows/manifests/crd workflows/manifests/samples $(RELEASE)/manifests
	@sed "s|ghcr.io/colchis/storage:.*|$(REGISTRY)/storage:$(VERSION)@$$(cat $(DIST)/digests/storage)|" \
	  workflows/manifests/samples/kserve-storage.yaml > $(RELEASE)/manifests/samples/kserve-storage.yaml
	@tar -C $(RELEASE) --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --mode=go=rX,u+rw -czf $(RELEASE)/manifests.tar.gz manifests
	@$(BIN)/uv build --quiet --wheel --no-build-isolation --python $(BIN)/python --out-dir $(RELEASE) && rm -f $(RELEASE)/.gitignore
	@$(foreach image,$(IMAGES),$(call SBOM,$(image)) &&) true
	@cd $(RELEASE) && sha256sum *.whl *.tar.gz *.json > SHA256SUMS
	@echo $(RELEASE)

lint: $(READY)  ## ruff, mypy, import contracts, declared dependencies
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry steps workflows

format: $(READY)  ## format the code
	$(BIN)/ruff check --fix --quiet
	$(BIN)/ruff format --quiet

LOCK = $(BIN)/uv pip compile --quiet $(UPGRADE) --universal --generate-hashes --python-version 3.11 --no-emit-index-url --no-emit-find-links \
  --custom-compile-command "make lock"
# serve has TensorFlow from the requirements of train
TENSORFLOW := --no-emit-package tensorflow --no-emit-package tensorflow-cpu

lock: $(VENV)/bin/uv  ## lock what pyproject.toml asks for, for the images at the same versions (UPGRADE=--upgrade raises all)
	$(LOCK) pyproject.toml --extra dev --output-file requirements/dev.txt
	grep -A 100 '^uv==' requirements/dev.txt | awk 'NR > 1 && !/^    / {exit} {print}' | grep -v '# ' > requirements/uv.txt
	$(LOCK) requirements/clients.in --output-file requirements/clients.txt
	$(LOCK) --no-deps requirements/serving-api.in --output-file requirements/serving-api.txt
	for example in $(EXAMPLES); do \
	  $(LOCK) pyproject.toml examples/$$example/requirements.in --constraint requirements/dev.txt --extra data \
	    --output-file examples/$$example/requirements.txt || exit; \
	done
	for image in steps "data --extra data" "train --extra adopt" "train-gpu --extra gpu" "serve --extra serve $(TENSORFLOW)" "storage --extra storage"; do \
	  set -- $$image; name=$$1; shift; \
	  $(LOCK) pyproject.toml --constraint requirements/dev.txt --excludes requirements/unused.txt "$$@" --output-file requirements/$$name.txt || exit; \
	done
	$(LOCK) requirements/serve-onnx.in --constraint requirements/dev.txt --output-file requirements/serve-onnx.txt

clean:  ## remove what make made here (the environment and local runs)
	rm -rf $(VENV) .clients .examples .colchis
