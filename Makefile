# Everything from a clean clone: a Rust toolchain, a C compiler and Python 3.11 or later are needed; the rest is
# fetched here. Each target may be run again, and does only what is left to do.

PYTHON ?= python3
CARGO ?= cargo
MODEL ?= smollm2-135m-instruct
OUT ?= runs/quick
MINUTES ?= 60

# Where `residuum model pull` puts the default model; GGUF=FILE names another copy of it.
CACHE := $(or $(RESIDUUM_CACHE),$(if $(XDG_CACHE_HOME),$(XDG_CACHE_HOME)/residuum,$(HOME)/.cache/residuum))
GGUF ?= $(CACHE)/models/smollm2-135m-instruct/SmolLM2-135M-Instruct.Q4_1.gguf

RESIDUUM := target/release/residuum
SAMPLE := target/sample-run

# CUDA 13.0. Kernels that are used here are compiled for the GPU as they load, those linked in (of quantised and
# sparse models) for this one: 8.0 is an A100, 9.0 an H100.
CUDA_WHEELS := nvidia-cuda-nvcc==13.0.88 nvidia-cuda-crt==13.0.88 nvidia-nvvm==13.0.88 \
    nvidia-cuda-runtime==13.0.88 nvidia-cuda-cccl==13.0.85 nvidia-cuda-nvrtc==13.0.88 \
    nvidia-cublas==13.0.2.14 nvidia-curand==10.4.0.35
CUDA_COMPUTE_CAP ?= 80
WITH_CUDA = CUDA_HOME="$(CURDIR)/.cuda/toolkit" CUDA_COMPUTE_CAP=$(CUDA_COMPUTE_CAP) \
    PATH="$(CURDIR)/.cuda/toolkit/bin:$$PATH"

# Holds cmake where the system has none that is new enough.
export PATH := $(CURDIR)/.tools/bin:$(PATH)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help study test soak lint fuzz fuzz-corpus miri deny sbom wheel page snakemake calibrate bench-geometry bench-growth bench-kernels peers peers-bench cuda setup build model clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' Makefile

study: build model ## run the quick study into OUT (runs/quick); declare its contrasts before the first run
	@[ -e "$(OUT)/declaration.json" ] || [ -e "$(OUT)/stages" ] || \
	    $(RESIDUUM) study plan --out "$(OUT)" --declare --seconds 0
	$(RESIDUUM) study run --out "$(OUT)"

# The program is built with the tests, which need other features of what both depend on: `build` before
# them would compile every dependency twice.
test: setup .venv-test/.stamp .venv-notebooks/.stamp ## check the texts, run the Rust tests, then read run folders from Python, compute them again, and execute the notebooks
	$(CARGO) test --release --locked --no-run
	$(RESIDUUM) model pull $(MODEL)
	$(RESIDUUM) materials lint
	$(RESIDUUM) materials stats
	$(CARGO) test --release --locked
	rm -rf $(SAMPLE)
	$(CARGO) run --release --locked --quiet --example write_sample_run -- $(SAMPLE)
	.venv-test/bin/python tests/python/test_h5_reads.py $(SAMPLE)
	.venv-test/bin/python tests/python/test_reader.py $(SAMPLE)
	.venv-test/bin/python tests/python/test_recipes.py $(SAMPLE)
	.venv-test/bin/python tests/python/test_run_folder.py target/tmp/study
	.venv-test/bin/python tests/python/test_page.py target/tmp/page/report.html
	.venv-test/bin/python tests/python/recompute.py target/tmp/study --self-test
	.venv-test/bin/python tests/python/recompute.py target/tmp/harbour --texts target/tmp/harbour-texts --self-test
	.venv-notebooks/bin/python tests/python/test_notebooks.py $(RESIDUUM) target/tmp/study target/tmp/harbour

soak: build model ## kill the quick study 30 times, then 2 hours (SOAK_HOURS) of capture, training and scoring with the slope of memory
	$(PYTHON) tests/python/soak.py $(RESIDUUM) --kills 30 --hours $${SOAK_HOURS:-2}

lint: setup ## check the format and the lints
	$(CARGO) fmt --check
	$(CARGO) clippy --release --locked --all-targets -- -D warnings

# One round after the other, since templates beyond their budget of memory keep it until the process ends.
fuzz: setup ## damaged and made-up inputs of every kind for MINUTES (60); each round has the seed that it prints
	$(CARGO) test --release --locked --test fuzz --no-run
	@end=$$(($$(date +%s) + 60 * $(MINUTES))); seed=$$(date +%s); \
	while left=$$((end - $$(date +%s))); [ $$left -gt 0 ]; do \
	    echo "FUZZ_SEED=$$seed"; \
	    FUZZ_SEED=$$seed FUZZ_SECONDS=$$((left < 600 ? left : 600)) \
	        $(CARGO) test --release --locked --quiet --test fuzz || exit 1; \
	    seed=$$((seed + 1)); \
	done

fuzz-corpus: setup ## write good inputs of every kind into fuzz/corpus, for `cargo +nightly fuzz run TARGET`
	FUZZ_CORPUS="$(CURDIR)/fuzz/corpus" FUZZ_SECONDS=1 $(CARGO) test --release --locked --test fuzz

miri: setup ## run tests of fused operations, of their portable kernels, under Miri (nightly with its component miri)
	MIRIFLAGS="-Zmiri-disable-isolation -Zmiri-tree-borrows -Zmiri-ignore-leaks" RESIDUUM_KERNELS=portable RAYON_NUM_THREADS=2 \
	    $(CARGO) +nightly miri test --locked --lib --target-dir target/miri ops::small_tests

deny: ## hold licences, advisories and origins of all that is built in against deny.toml, by cargo-deny
	@command -v cargo-deny >/dev/null || $(CARGO) install --locked cargo-deny
	$(CARGO) deny --locked check

sbom: ## list all that is built in, with versions, licences and digests, in residuum.cdx.json, by cargo-cyclonedx
	@command -v cargo-cyclonedx >/dev/null || $(CARGO) install --locked cargo-cyclonedx
	$(CARGO) cyclonedx --format json --target x86_64-unknown-linux-gnu --override-filename residuum.cdx
	@ls -l residuum.cdx.json

wheel: setup .venv-wheel/.stamp ## build the Python wheel (program and reader) into target/wheels, and try it in an empty venv
	rm -rf target/wheels $(SAMPLE)
	.venv-wheel/bin/maturin build --release --locked --out target/wheels
	$(CARGO) run --release --locked --quiet --example write_sample_run -- $(SAMPLE)
	$(PYTHON) -m venv --clear .venv-wheel-empty
	.venv-wheel-empty/bin/python -m pip install --quiet target/wheels/residuum-*.whl
	.venv-wheel-empty/bin/python tests/python/test_wheel.py $(SAMPLE)
	rm -rf .venv-wheel-empty
	@ls -l target/wheels

page: setup ## open a report in a headless Chromium, which apt-get installs where there is none (root); pictures into target/page
	@command -v $${CHROMIUM:-chromium} >/dev/null || apt-get install --yes chromium
	$(CARGO) test --release --locked --test report left_for_the_browser
	$(PYTHON) tests/python/test_page.py target/tmp/page/report.html --require --shots target/page

snakemake: setup .venv-snakemake/.stamp ## run the stages of a toy study under real Snakemake, killed and gone on with (minutes)
	$(CARGO) test --release --locked --test engines -- --test-threads 1

calibrate: setup ## plant known answers and hold every statistic to them (minutes)
	$(CARGO) run --release --locked --quiet --example calibrate

bench-growth: setup ## time and memory of capture against what grows, into benches (idle machine)
	$(CARGO) bench --locked --bench growth

bench-kernels: setup ## time the kernels of a pass (seconds; idle machine)
	$(CARGO) bench --locked --bench kernels

bench-geometry: setup ## time the coupling of a whole study, with its peak memory (idle machine)
	$(CARGO) bench --locked --bench geometry

peers: build model .venv-peers/.stamp ## compare with transformers, peft, scikit-learn, scipy and others, live (downloads PyTorch)
	.venv-peers/bin/python tests/oracles/make_stats_fixtures.py --check
	.venv-peers/bin/python tests/oracles/make_direction_fixtures.py --check tests/fixtures
	.venv-peers/bin/python tests/oracles/make_family_fixtures.py --check tests/fixtures/families $(if $(LLAMA_CPP),--llama-cpp "$(LLAMA_CPP)")
	$(if $(LLAMA_CPP),.venv-peers/bin/python tests/oracles/vocabularies.py --llama-cpp "$(LLAMA_CPP)" --residuum $(RESIDUUM) --gguf "$(GGUF)")
	.venv-peers/bin/python tests/oracles/second_family.py --residuum $(RESIDUUM)
	.venv-peers/bin/python tests/oracles/templates.py --gguf "$(GGUF)" --residuum $(RESIDUUM)
	.venv-peers/bin/python tests/oracles/peers.py --gguf "$(GGUF)"

peers-bench: build model .venv-peers/.stamp ## time capture, training and generation beside transformers, peft and llama.cpp (npm; idle machine)
	.venv-peers/bin/python tests/oracles/bench.py --gguf "$(GGUF)" --results benches/RESULTS.md

cuda: setup .cuda/.stamp ## build for NVIDIA GPUs into target/cuda, and lint that build; CUDA comes from PyPI, no GPU is needed
	$(WITH_CUDA) $(CARGO) clippy --release --locked --features cuda --target-dir target/cuda -- -D warnings
	$(WITH_CUDA) $(CARGO) build --release --locked --features cuda --target-dir target/cuda

setup: ## fetch cmake (for HDF5) unless 3.26 or later is there
	@new_enough() { \
	    version=$$(cmake --version 2>/dev/null | awk 'NR == 1 { print $$3 }'); \
	    [ -n "$$version" ] && printf '3.26\n%s\n' "$$version" | sort -V -C; \
	}; \
	if ! new_enough; then \
	    echo "cmake 3.26 or later is not installed: fetching it into .tools" && \
	    $(PYTHON) -m venv --clear .tools/py && \
	    .tools/py/bin/python -m pip install --quiet 'cmake>=3.26,<5' && \
	    mkdir -p .tools/bin && \
	    ln -sfn ../py/bin/cmake .tools/bin/cmake && \
	    new_enough || { echo "cmake is still missing: install cmake 3.26 or later" >&2; exit 1; }; \
	fi

build: setup ## build the binary
	$(CARGO) build --release --locked

model: build ## fetch the default model, once
	$(RESIDUUM) model pull $(MODEL)

.venv-test/.stamp: tests/python/requirements.txt
.venv-notebooks/.stamp: notebooks-export/requirements.txt
.venv-peers/.stamp: tests/oracles/requirements.txt
.venv-wheel/.stamp: tests/python/requirements-wheel.txt
.venv-snakemake/.stamp: tests/engines/requirements.txt
.venv-test/.stamp .venv-notebooks/.stamp .venv-peers/.stamp .venv-wheel/.stamp .venv-snakemake/.stamp:
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later is needed: set PYTHON" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv --clear $(@D)
	$(@D)/bin/python -m pip install --quiet -r $<
	touch $@

# The driver comes with a GPU; to link, a library of its names will do.
.cuda/.stamp:
	$(PYTHON) -m venv --clear $(@D)
	$(@D)/bin/python -m pip install --quiet $(CUDA_WHEELS)
	ln -sfn "$$($(@D)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/nvidia/cu13" $(@D)/toolkit
	cd $(@D)/toolkit/lib && for file in *.so.*; do ln -sf "$$file" "$${file%%.so.*}.so"; done
	mkdir -p $(@D)/toolkit/lib/stubs
	echo '#include <cuda.h>' | cc -E -I $(@D)/toolkit/include - | grep -oE '\bcu[A-Z][A-Za-z0-9_]* *\(' | \
	    sort -u | sed 's/ *($$/(void) {}/; s/^/void /' | \
	    cc -shared -x c -Wl,-soname,libcuda.so.1 -o $(@D)/toolkit/lib/stubs/libcuda.so -
	touch $@

clean: ## remove what was built or fetched here; runs stay
	$(CARGO) clean
	rm -rf .tools .venv-test .venv-notebooks .venv-peers .venv-wheel .venv-wheel-empty .venv-snakemake .cuda
