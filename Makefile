# iorun: `make demo` shows it, `make test` tests it. Both install what is missing.

# One binary that runs where no Swift is installed.
SWIFT_RELEASE = swift build -c release --static-swift-stdlib -Xlinker -s
SOURCES = Package.swift Sources Tests Benchmarks examples

.PHONY: help build demo test test-python test-torch test-dask lint format proto bench install clean

help:
	@echo "make demo    build, run the main job on a local network, stop it"
	@echo "make test    everything the project tests"
	@echo "make test-python   the Python SDK, against the release build"
	@echo "make test-torch, make test-dask   PyTorch and Dask on a gang's own network"
	@echo "make build   the release build; the binary is .build/release/iorun"
	@echo "make bench   calls, peers, relay, tunnels and scheduler, beside their peers"
	@echo "make lint    check the format; make format mends it"
	@echo "make proto   regenerate the C code of proto/iorun.proto"

build:
	@scripts/install-dependencies.sh
	$(SWIFT_RELEASE) --product iorun
	$(SWIFT_RELEASE) --product train-digits

demo: build
	@scripts/demo.sh "$$($(SWIFT_RELEASE) --show-bin-path)"

test:
	@scripts/install-dependencies.sh --test
	@scripts/generate-proto.sh --check
	swift build --build-tests
	@scripts/test-swift.sh

# The Python SDK against the release build: unit tests, conformance tests, example programs.
test-python: build
	@scripts/test-python.sh "$$($(SWIFT_RELEASE) --show-bin-path)"

# PyTorch DDP on a gang; installs CPU torch into .venv where it is missing.
test-torch: build
	@scripts/test-torch.sh "$$($(SWIFT_RELEASE) --show-bin-path)"

# Dask on a gang's own network; installs it into .venv-dask where it is missing.
test-dask: build
	@scripts/test-dask.sh "$$($(SWIFT_RELEASE) --show-bin-path)"

lint:
	@swift format lint --strict --recursive --parallel $(SOURCES)
	@scripts/check-layers.py

format:
	@swift format --in-place --recursive --parallel $(SOURCES)

proto:
	@scripts/generate-proto.sh

bench:
	@scripts/install-dependencies.sh
	$(SWIFT_RELEASE) --product iorun
	for product in iorun-bench iorun-path-bench iorun-tunnel-bench SchedulerBench; do \
	  $(SWIFT_RELEASE) --product $$product || exit 1; done
	"$$($(SWIFT_RELEASE) --show-bin-path)/iorun-bench"
	"$$($(SWIFT_RELEASE) --show-bin-path)/iorun-bench" peers
	"$$($(SWIFT_RELEASE) --show-bin-path)/iorun-path-bench"
	"$$($(SWIFT_RELEASE) --show-bin-path)/iorun-tunnel-bench"
	"$$($(SWIFT_RELEASE) --show-bin-path)/SchedulerBench" scale

install: build
	install -m 755 "$$($(SWIFT_RELEASE) --show-bin-path)/iorun" "$(or $(PREFIX),/usr/local)/bin/iorun"

clean:
	rm -rf .build .venv .venv-python* .venv-bench .venv-ray .venv-dask
