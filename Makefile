# Everything here works on a bare Debian or Ubuntu machine with Python 3.10-3.13, a C/C++ compiler and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
CUDA ?= /usr/local/cuda
TORCH := torch==2.13.0
DEMO_QUESTION := "Burning, frequent urination: could this be a UTI, how urgent is it, what should I ask at the appointment?"

.PHONY: setup demo test test-slow lint bench bench-plan bench-power bench-history bench-knowledge bench-retrieval bench-flags bench-citations bench-grounded bench-serve bench-terminal soak screenshot compare compare-heal scale-check harness-check control-check service-check package-check jetson arm64-check clean

setup: $(STAMP)

# torch comes first and pinned: anything that merely depends on it would fetch a build with gigabytes of CUDA.
$(STAMP): pyproject.toml Makefile
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --progress-bar off $(TORCH)
	$(BIN)/python -m pip install --quiet --progress-bar off --editable '.[compress,dev]'
	touch $(STAMP)

demo: $(STAMP)
	$(BIN)/bedside compress reference --recipe reference-50 --out build/demo
	$(BIN)/bedside ask --model build/demo/gguf/reference-reference-50-q4_0.gguf $(DEMO_QUESTION)
	$(BIN)/bedside report build/demo

test: $(STAMP)
	$(BIN)/python -m pytest -m "not slow"

test-slow: $(STAMP)
	$(BIN)/python -m pytest -m slow

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

# The whole table of criteria on the reference model; needs BEDSIDE_DATA, continues where it was stopped.
compare: $(STAMP)
	$(BIN)/bedside compare reference --recipe reference-compare --out build/compare

# The same table after healing on either text, in the folder of `compare`, of which nothing is measured again.
compare-heal: $(STAMP)
	$(BIN)/bedside compare reference --recipe reference-compare --out build/compare \
		--heal medquad --heal meadow --shares 0.5,0.67 --no-sweep

bench: $(STAMP)
	$(BIN)/python -m benchmarks.decode

# A minute: what the power sampler takes of one core.
bench-power: $(STAMP)
	$(BIN)/python -m benchmarks.sampling

# Half a minute, with BEDSIDE_DATA: what indexing a library takes of one core, and its file against its text.
bench-knowledge: $(STAMP)
	$(BIN)/python -m benchmarks.knowledge

# A quarter of a minute: how long an encrypted history of 10,000 messages takes to open and to search.
bench-history: $(STAMP)
	$(BIN)/python -m benchmarks.history

# Some minutes on one core: which answers the search finds, against plain full-text search; needs BEDSIDE_DATA.
bench-retrieval: $(STAMP)
	$(BIN)/python -m benchmarks.retrieval

bench-flags: $(STAMP)
	$(BIN)/python -m benchmarks.red_flags

# Two minutes: how well the check of citations tells right from wrong; needs BEDSIDE_DATA.
bench-citations: $(STAMP)
	$(BIN)/python -m benchmarks.citations

# Two minutes: what answers of the reference model are worth with a library and without; needs BEDSIDE_DATA.
bench-grounded: $(STAMP)
	$(BIN)/python -m benchmarks.grounded

# A few minutes on a machine that does nothing else: what `bedside device plan` predicts against what is measured.
bench-plan: $(STAMP)
	$(BIN)/python -m benchmarks.plan

# A minute and a half: how soon `bedside chat` starts, echoes and shows the first token, and what memory it takes.
bench-terminal: $(STAMP)
	$(BIN)/python -m benchmarks.terminal

# Not in CI: half an hour to two hours on two cores for 20,000 requests of all kinds; whether what the server takes stays flat.
soak: $(STAMP)
	$(BIN)/python -m benchmarks.soak

# The picture of `bedside chat` in the README, from the real program.
screenshot: $(STAMP)
	$(BIN)/python -m benchmarks.screenshot

# llama-server and llama-bench from the very tree that is inside llama-cpp-python, and its two Python servers.
build/peers/.installed: Makefile
	rm -rf build/peers
	$(PYTHON) -m venv build/peers/venv
	build/peers/venv/bin/python -m pip install --quiet --progress-bar off 'cmake<4' openai safetensors websockets \
		"llama-cpp-python[server]==$$($(BIN)/python -c "from importlib.metadata import version; print(version('llama-cpp-python'))")"
	build/peers/venv/bin/python -m pip download --quiet --no-deps --no-binary :all: --dest build/peers \
		"llama-cpp-python==$$($(BIN)/python -c "from importlib.metadata import version; print(version('llama-cpp-python'))")"
	tar --directory build/peers --extract --file build/peers/llama_cpp_python-*.tar.gz
	build/peers/venv/bin/cmake -S build/peers/llama_cpp_python-*/vendor/llama.cpp -B build/peers/cmake \
		-DCMAKE_BUILD_TYPE=Release -DLLAMA_OPENSSL=OFF -DLLAMA_USE_PREBUILT_UI=OFF -DLLAMA_BUILD_TESTS=OFF \
		-DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_APP=OFF
	build/peers/venv/bin/cmake --build build/peers/cmake --target llama-server llama-bench --parallel 2
	touch $@

# Not in CI: a quarter of an hour to build the peers, then an hour on two cores that nothing else may use; 3.5 GiB of disk.
bench-serve: $(STAMP) build/peers/.installed
	$(BIN)/python -m benchmarks.serve

# Not in CI: an hour on two cores, and 40 GiB of disk while it runs.
scale-check: $(STAMP)
	$(BIN)/python -m benchmarks.scale

# lm-evaluation-harness brings many packages: it gets an environment of its own. Needs BEDSIDE_DATA.
build/harness-venv/.installed: Makefile
	$(PYTHON) -m venv build/harness-venv
	build/harness-venv/bin/python -m pip install --quiet --progress-bar off $(TORCH)
	build/harness-venv/bin/python -m pip install --quiet --progress-bar off 'lm_eval[api]>=0.4.13,<0.5' transformers accelerate
	touch $@

harness-check: $(STAMP) build/harness-venv/.installed
	$(BIN)/python -m benchmarks.harness

# Two small models from scratch, an hour on two cores; needs BEDSIDE_DATA, continues where it was stopped.
control-check: $(STAMP)
	$(BIN)/python -m benchmarks.control --data $(BEDSIDE_DATA)

# Not in CI: two minutes, as root, with systemd-container and mmdebstrap. The service in a real systemd, from boot to removal.
service-check: $(STAMP)
	$(BIN)/python -m tests.boots

# Two minutes where pip has llama-cpp-python's wheel in its cache: wheel and sdist, whole, installed alone, asked; writes docs/licences.md.
package-check: $(STAMP)
	$(BIN)/python -m benchmarks.package

# Ten minutes: llama.cpp cross-compiled for the Pi's processor, an answer of it under emulation. Wants packages of Debian, which it names.
arm64-check: $(STAMP)
	$(BIN)/python -m benchmarks.arm64

# On the Jetson, in the environment that holds Bedside: llama.cpp compiled for Orin's GPU (compute capability 8.7) takes the place of
# the one for the processor. Half an hour on the board; BIN=~/bedside/bin names another environment.
jetson:
	CMAKE_ARGS="-DGGML_CUDA=on -DCMAKE_CUDA_ARCHITECTURES=87 -DCMAKE_CUDA_COMPILER=$(CUDA)/bin/nvcc -DLLAVA_BUILD=off" \
		CMAKE_BUILD_PARALLEL_LEVEL=4 $(BIN)/python -m pip install --no-cache-dir --force-reinstall --no-deps \
		--no-binary llama-cpp-python "llama-cpp-python==$$($(BIN)/python -c "from importlib.metadata import version; print(version('llama-cpp-python'))")"
	$(BIN)/python -c "from models.runtime.library import supports_gpu; raise SystemExit(not supports_gpu())" \
		|| (echo "error: the new library sees no GPU; is the user in the groups video and render?" >&2; false)

clean:
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
