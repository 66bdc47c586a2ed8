# npxc. `make help` lists the targets; GNU make 3.81 is enough.

CC ?= cc
BUILD ?= build
.SECONDARY:
comma := ,
UNAME := $(shell uname -s)
VERSION := 0.4.0

WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wformat=2 -Wvla -Wstrict-prototypes \
	-Wmissing-prototypes -Wswitch-enum -Werror
HARDENING := -fstack-protector-strong -D_FORTIFY_SOURCE=2
# Small first: what npxc does in a hot loop it does in the kernel. Nothing unwinds, so no tables for it either.
OPTIMISE := -Os -g -ffunction-sections -fdata-sections -fno-asynchronous-unwind-tables
FEATURES := -D_GNU_SOURCE -DNPXC_VERSION='"$(VERSION)"'
CFLAGS_ALL = -std=c11 $(WARNINGS) $(FEATURES) -Isrc $(CFLAGS)
LIBS := -lcjson
ifeq ($(UNAME),Linux)
HARDENING += -fPIE
# Relocations packed where linker and libc know them (binutils 2.38, glibc 2.36): 12 KiB of npxc.
RELR := -Wl,-z,pack-relative-relocs
RELR := $(shell d=$$(mktemp -d) && echo 'int main(void) { return 0; }' >$$d/p.c && $(CC) -pie $(RELR) $$d/p.c -o $$d/p \
	2>$$d/said && [ ! -s $$d/said ] && $$d/p && echo '$(RELR)'; rm -rf "$$d")
LDFLAGS_HARDENED := -pie -Wl,-z,relro,-z,now -Wl,--gc-sections $(RELR)
LIBS += -luuid -lseccomp
endif
ifeq ($(UNAME),Darwin) # where every executable is position-independent
FEATURES += -D_DARWIN_C_SOURCE
BREW := $(shell brew --prefix 2>/dev/null)
CFLAGS_ALL += -I$(BREW)/include
LIBS += -L$(BREW)/lib
endif

PYTHON = $(shell for p in python3 /usr/bin/python3; do "$$p" -c 'import pytest' >/dev/null 2>&1 && { echo "$$p"; exit; }; done; echo python3)

SOURCES := $(sort $(wildcard $(patsubst %,src/%/*.c,base json config contain runtime files teardown egress relay store session commands)))
UNIT_TESTS := $(sort $(wildcard tests/unit/test_*.c))
UNIT_NAMES := $(patsubst tests/unit/%.c,%,$(UNIT_TESTS))

GUEST_OBJECTS := $(BUILD)/obj/guest/egress.o $(BUILD)/obj/guest/first_program.o
OBJECTS := $(patsubst src/%.c,$(BUILD)/obj/%.o,$(SOURCES)) $(GUEST_OBJECTS)
SANITIZED_OBJECTS := $(patsubst src/%.c,$(BUILD)/asan/%.o,$(SOURCES)) $(GUEST_OBJECTS:$(BUILD)/obj/%=$(BUILD)/asan/%)
# The replay shim shares base/ and json/ with the launcher, nothing else.
SHIM_SOURCES := $(sort $(wildcard src/shim/*.c))
SHIM_OBJECTS := $(patsubst src/%.c,$(BUILD)/obj/%.o,$(SHIM_SOURCES))
SANITIZED_SHIM_OBJECTS := $(patsubst src/%.c,$(BUILD)/asan/%.o,$(SHIM_SOURCES))
SHIM_NAMES := container podman docker
SANITIZERS := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -O1 -g

.PHONY: all help deps deps-test unit unit-asan fuzz fuzz-smoke layers format-check format test clean
.PHONY: shim lint-fixtures demo black-box

all: $(BUILD)/npxc shim ## builds everything

help: ## lists the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' Makefile

deps: ## installs what building and running needs and is missing
	@ci/deps

deps-test: ## the same, with what the tests need
	@ci/deps test

$(BUILD)/obj/%.o: src/%.c Makefile
	@mkdir -p $(@D)
	@echo "CC $<"
	@$(CC) $(CFLAGS_ALL) $(OPTIMISE) $(HARDENING) -MMD -MP -c $< -o $@

$(BUILD)/asan/%.o: src/%.c Makefile
	@mkdir -p $(@D)
	@echo "CC $< (sanitized)"
	@$(CC) $(CFLAGS_ALL) $(SANITIZERS) -MMD -MP -c $< -o $@

# What guests load, as an array (src/guest/guest.h): without comments and indentation, each line where it was.
$(BUILD)/guest/egress.cjs: src/guest/egress.cjs Makefile
	@mkdir -p $(@D)
	@sed -e 's|^[[:blank:]]*//.*||' -e 's|^[[:blank:]]*||' $< >$@

$(BUILD)/guest/egress.c: $(BUILD)/guest/egress.cjs src/guest/embed
	@echo "EMBED $<"
	@src/guest/embed GUEST_EGRESS_JS $< >$@.part && mv $@.part $@

# The first program of a sandbox (src/guest/first.c): without a C library, some 2 KiB; an empty file where there is none.
FIRST_FLAGS := -std=c11 $(WARNINGS) -Isrc -Os -ffreestanding -fno-stack-protector -fno-asynchronous-unwind-tables \
	-fno-pie -nostdlib -static -Wl,--build-id=none,-z,noseparate-code,-z,noexecstack,-s,-n
ifeq ($(UNAME),Linux)
FIRST_MACHINE = $(filter x86_64-% aarch64-%,$(shell $(CC) -dumpmachine))
endif

$(BUILD)/guest/first: src/guest/first.c src/guest/first.h src/base/landlock.h Makefile
	@mkdir -p $(@D)
	@echo "CC $<"
	@if [ -n "$(FIRST_MACHINE)" ]; then $(CC) $(FIRST_FLAGS) $< -o $@; else : >$@; fi

$(BUILD)/guest/first_program.c: $(BUILD)/guest/first src/guest/embed
	@echo "EMBED $<"
	@src/guest/embed -b GUEST_FIRST $< >$@.part && mv $@.part $@

$(BUILD)/obj/guest/%.o: $(BUILD)/guest/%.c src/guest/guest.h
	@mkdir -p $(@D)
	@$(CC) $(CFLAGS_ALL) $(OPTIMISE) $(HARDENING) -c $< -o $@

$(BUILD)/asan/guest/%.o: $(BUILD)/guest/%.c src/guest/guest.h
	@mkdir -p $(@D)
	@$(CC) $(CFLAGS_ALL) $(SANITIZERS) -c $< -o $@

$(BUILD)/libnpxc.a: $(OBJECTS)
	@rm -f $@
	@$(AR) rcs $@ $(OBJECTS)

$(BUILD)/npxc: $(BUILD)/obj/main.o $(BUILD)/libnpxc.a
	$(CC) $(LDFLAGS_HARDENED) $(LDFLAGS) $^ -o $@ $(LIBS)

$(BUILD)/asan/libnpxc.a: $(SANITIZED_OBJECTS)
	@rm -f $@
	@$(AR) rcs $@ $(SANITIZED_OBJECTS)

# Tests only: an npxc that can be told where to die (src/base/fault.h). Nothing of it is in the ordinary one.
FAULTS_OBJECTS := $(patsubst src/%.c,$(BUILD)/faults/obj/%.o,$(SOURCES) src/main.c) $(GUEST_OBJECTS)

$(BUILD)/faults/obj/%.o: src/%.c Makefile
	@mkdir -p $(@D)
	@echo "CC $< (with fault points)"
	@$(CC) $(CFLAGS_ALL) -O0 -g -DNPXC_FAULTS -MMD -MP -c $< -o $@

$(BUILD)/faults/npxc: $(FAULTS_OBJECTS)
	$(CC) $(LDFLAGS) $^ -o $@ $(LIBS)

.PHONY: faults
faults: $(BUILD)/faults/npxc ## an npxc that can be told where to die, for the crash matrix

$(BUILD)/libshim.a: $(filter-out %/main.o,$(SHIM_OBJECTS))
	@rm -f $@
	@$(AR) rcs $@ $^

$(BUILD)/asan/libshim.a: $(filter-out %/main.o,$(SANITIZED_SHIM_OBJECTS))
	@rm -f $@
	@$(AR) rcs $@ $^

$(BUILD)/shim/container: $(BUILD)/obj/shim/main.o $(BUILD)/libshim.a $(BUILD)/libnpxc.a
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS_HARDENED) $^ -o $@ $(LIBS)

$(BUILD)/shim-asan/container: $(BUILD)/asan/shim/main.o $(BUILD)/asan/libshim.a $(BUILD)/asan/libnpxc.a
	@mkdir -p $(@D)
	$(CC) $(SANITIZERS) $^ -o $@ $(LIBS)

$(BUILD)/shim/podman $(BUILD)/shim/docker: $(BUILD)/shim/container
	@ln -sf container $@

shim: $(addprefix $(BUILD)/shim/,$(SHIM_NAMES)) ## the replay container CLI, also as podman and docker

# Before the rule for all unit tests: GNU make 3.81 takes the first pattern that fits.
$(BUILD)/unit/test_shim%: tests/unit/test_shim%.c $(BUILD)/libshim.a $(BUILD)/libnpxc.a
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) $(OPTIMISE) -MMD -MP $< $(BUILD)/libshim.a $(BUILD)/libnpxc.a -o $@ -lcmocka $(LIBS)

$(BUILD)/unit-asan/test_shim%: tests/unit/test_shim%.c $(BUILD)/asan/libshim.a $(BUILD)/asan/libnpxc.a
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) $(SANITIZERS) -MMD -MP $< $(BUILD)/asan/libshim.a $(BUILD)/asan/libnpxc.a -o $@ -lcmocka $(LIBS)

$(BUILD)/unit/%: tests/unit/%.c $(BUILD)/libnpxc.a
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) $(OPTIMISE) -MMD -MP $< $(BUILD)/libnpxc.a -o $@ -lcmocka $(LIBS)

$(BUILD)/unit-asan/%: tests/unit/%.c $(BUILD)/asan/libnpxc.a
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) $(SANITIZERS) -MMD -MP $< $(BUILD)/asan/libnpxc.a -o $@ -lcmocka $(LIBS)

unit: $(addprefix $(BUILD)/unit/,$(UNIT_NAMES)) ## unit tests
	@for t in $^; do $$t || exit 1; done

unit-asan: $(addprefix $(BUILD)/unit-asan/,$(UNIT_NAMES)) ## unit tests under AddressSanitizer and UBSan
	@for t in $^; do $$t || exit 1; done

.PHONY: bench bench-relay
bench: all $(BUILD)/bench/relay $(BUILD)/bench/egress $(BUILD)/bench/lease ## start, relay, allowlist, memory and size of npxc; writes build/bench.json
	$(PYTHON) tests/bench/all.py --npxc $(BUILD)/npxc --programs $(BUILD)/bench/relay --output $(BUILD)/bench.json

$(BUILD)/bench/%: tests/bench/%.c $(BUILD)/libnpxc.a
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) $(OPTIMISE) -MMD -MP $< $(BUILD)/libnpxc.a -o $@ $(LIBS)

# BENCH_RELAY='build/npxc ... {server_line}' measures a whole npxc instead of the relay alone.
.PHONY: bench-egress
bench-egress: all $(BUILD)/bench/egress ## the way out of a sandbox beside a direct connection; writes build/bench-egress.json
	$(PYTHON) tests/bench/egress.py --npxc $(BUILD)/npxc --program $(BUILD)/bench/egress \
		--output $(BUILD)/bench-egress.json $(BENCH_FLAGS)

.PHONY: bench-leases
bench-leases: all $(BUILD)/bench/lease ## what leases, sweep and janitor cost; writes build/bench-leases.json
	$(PYTHON) tests/bench/leases.py --npxc $(BUILD)/npxc --program $(BUILD)/bench/lease --output $(BUILD)/bench-leases.json

bench-relay: $(BUILD)/bench/relay ## round trip and throughput of the relay; writes build/bench-relay.json
	$(PYTHON) tests/bench/relay.py --programs $(BUILD)/bench/relay --output $(BUILD)/bench-relay.json \
		$(if $(BENCH_RELAY),--relay '$(BENCH_RELAY)') $(BENCH_FLAGS)

# Parts of npxc held against other implementations of the same thing.
DIFFERENTIAL_NAMES := $(patsubst tests/differential/%.c,%,$(sort $(wildcard tests/differential/*.c)))

$(BUILD)/differential/%: tests/differential/%.c $(BUILD)/asan/libnpxc.a
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) $(SANITIZERS) -MMD -MP $< $(BUILD)/asan/libnpxc.a -o $@ $(LIBS)

.PHONY: differential
differential: $(addprefix $(BUILD)/differential/,$(DIFFERENTIAL_NAMES)) ## compares scanner and identification with models in Python
	@NPXC_BUILD=$(abspath $(BUILD)) $(PYTHON) -m pytest -q -p no:cacheprovider tests/differential

layers: ## includes point one way; no path into what others wrote; what is acquired has its fault points
	@ci/layers
	@ci/paths
	@ci/fault-points >/dev/null

# Fuzzing wants clang; nothing else here does. Each target tests/fuzz/fuzz_NAME.c has its seeds in tests/fuzz/corpus/NAME
# and, where it helps, a dictionary NAME.dict; what it finds stays below build/.
FUZZ_CC ?= clang
FUZZ_SECONDS ?= 300
FUZZ_SMOKE_SECONDS ?= 60
FUZZ_NAMES := $(patsubst tests/fuzz/fuzz_%.c,%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
FUZZ_OBJECTS := $(patsubst src/%.c,$(BUILD)/fuzz/obj/%.o,$(SOURCES)) $(GUEST_OBJECTS)
FUZZ_SANITIZERS := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -O1 -g

$(BUILD)/fuzz/obj/%.o: src/%.c Makefile
	@mkdir -p $(@D)
	@echo "FUZZ_CC $<"
	@$(FUZZ_CC) $(CFLAGS_ALL) $(FUZZ_SANITIZERS) -fsanitize=fuzzer-no-link -MMD -MP -c $< -o $@

$(BUILD)/fuzz/libnpxc.a: $(FUZZ_OBJECTS)
	@rm -f $@
	@$(AR) rcs $@ $(FUZZ_OBJECTS)

$(BUILD)/fuzz/fuzz_%: tests/fuzz/fuzz_%.c tests/fuzz/fuzz.h $(BUILD)/fuzz/libnpxc.a
	@mkdir -p $(@D)
	$(FUZZ_CC) $(CFLAGS_ALL) $(FUZZ_SANITIZERS) -fsanitize=fuzzer $< $(BUILD)/fuzz/libnpxc.a -o $@ $(LIBS)

fuzz: $(addprefix $(BUILD)/fuzz/fuzz_,$(FUZZ_NAMES)) ## fuzzes each target for FUZZ_SECONDS
	@for name in $(FUZZ_NAMES); do tests/fuzz/run $(BUILD)/fuzz $$name $(FUZZ_SECONDS) || exit 1; done

fuzz-smoke: ## fuzzes all targets, FUZZ_SMOKE_SECONDS together
	@$(MAKE) fuzz FUZZ_SECONDS=$$(( $(FUZZ_SMOKE_SECONDS) / $(words $(FUZZ_NAMES)) ))

.PHONY: cross-macos
cross-macos: ## compiles and links for arm64 macOS with a cross compiler; fetches that and cJSON's source
	@BUILD='$(BUILD)' MAKE='$(MAKE)' ci/cross-macos

FORMATTED = $(shell find src tests -name '*.[ch]' | sort)

format-check: ## the sources are formatted
	@clang-format --dry-run -Werror $(FORMATTED)

lint-fixtures: ## fixtures hold no home paths, tokens, real hosts or addresses
	@ci/lint-fixtures

# One clang-tidy per processor; .clang-tidy and the comments at the places say what is left out and why. Null pointers are
# clang-tidy's: cppcheck takes MEM_TAKE for the NULL that it leaves behind.
TIDY_FLAGS = -std=c11 $(FEATURES) -Isrc
CPPCHECK_FLAGS = --quiet --std=c11 --enable=warning,style,performance,portability --inline-suppr --error-exitcode=1 \
	--suppress=nullPointer --suppress=nullPointerArithmetic --suppress=ctunullpointer \
	-D_GNU_SOURCE -D__linux__ -DNPXC_VERSION='"$(VERSION)"' -Isrc

.PHONY: static clang leaks
static: ## clang-tidy and cppcheck
	@cppcheck $(CPPCHECK_FLAGS) src
	@find src -name '*.c' | sort | xargs -P "$$(getconf _NPROCESSORS_ONLN)" -I{} sh -c \
		'clang-tidy --quiet "$$0" -- "$$@" 2>/dev/null || { echo "clang-tidy: $$0" >&2; exit 1; }' {} $(TIDY_FLAGS)

clang: ## builds everything and the unit tests with clang
	@$(MAKE) CC=clang BUILD=$(BUILD)/clang all $(patsubst %,$(BUILD)/clang/unit/%,$(UNIT_NAMES))

format: ## formats the sources
	@clang-format -i $(FORMATTED)

demo: ## installs what is missing, builds, and tries a real server in the sandbox
	@$(MAKE) deps
	@$(MAKE) all
	@$(BUILD)/npxc try @modelcontextprotocol/server-everything

black-box: all faults ## the launcher as users and clients see it
	@$(PYTHON) -m pytest -q -p no:cacheprovider tests/black_box

# GUEST_NODES: major releases, of the ones that tests/guest/conftest.py pins; CI takes the oldest and the newest.
GUEST_NODES ?= 18,20,22,24,26
.PHONY: guest
guest: $(BUILD)/guest/egress.cjs ## what guests load, with every kind of client on GUEST_NODES; fetches Node releases and npm packages
	@NPXC_BUILD=$(abspath $(BUILD)) NPXC_TEST_NODES=$(GUEST_NODES) $(PYTHON) -m pytest -q -p no:cacheprovider tests/guest

.PHONY: live
live: all ## sessions on a real podman, which ci/podman sets up where it has to; needs root
	@ci/podman
	@$(PYTHON) -m pytest -q -p no:cacheprovider -rs tests/live
	@NPXC_TEST_RUNTIME=podman $(PYTHON) -m pytest -q -p no:cacheprovider -rs tests/black_box/test_real_files.py

.PHONY: live-docker
live-docker: all ## the same on a docker engine that ci/docker starts and ends; needs root
	@ci/docker env NPXC_TEST_RUNTIME=docker $(PYTHON) -m pytest -q -p no:cacheprovider -rs tests/live

.PHONY: record
record: all ## records what a real container CLI answers into fixtures/: RUNTIME=podman, docker or apple
	@$(PYTHON) tests/record/record.py $(RUNTIME) --npxc $(BUILD)/npxc
	@ci/lint-fixtures

.PHONY: corpus corpus-ci
corpus: all ## 46 real servers give the tools they give bare: some 5 GB of packages; CORPUS_FLAGS are run.py's
	@$(PYTHON) conformance/corpus/run.py --npxc $(BUILD)/npxc --output $(BUILD)/corpus.json $(CORPUS_FLAGS)

corpus-ci: all ## the six of them for every push, in the store of the black-box tests
	@$(PYTHON) conformance/corpus/run.py --npxc $(BUILD)/npxc --output $(BUILD)/corpus.json --ci \
		--cache "$${NPXC_TEST_CACHE:-$(BUILD)/test-cache-$$(id -u)}" $(CORPUS_FLAGS)

.PHONY: corpus-files
corpus-files: all ## real servers with files, bare beside npxc on bwrap and, as root, podman; some 900 MB of packages; CORPUS_FLAGS are files.py's
	@$(if $(filter Linux0,$(UNAME)$(shell id -u)),ci/podman)
	@$(PYTHON) conformance/corpus/files.py --npxc $(BUILD)/npxc \
		--runtime bwrap$(if $(filter Linux0,$(UNAME)$(shell id -u)),$(comma)podman) $(CORPUS_FLAGS)

test: ## every check: installs what is missing, builds with -Werror, unit tests, sanitizers, layers, format, black box
	@$(MAKE) deps-test
	@$(MAKE) layers format-check lint-fixtures
	@$(MAKE) all
	@$(MAKE) unit unit-asan
	@$(MAKE) differential
	@$(MAKE) conformance-test
	@$(MAKE) black-box

# The tests themselves build what they run too, one file after the other.
.PHONY: built
built: all faults $(addprefix $(BUILD)/unit/,$(UNIT_NAMES)) $(addprefix $(BUILD)/unit-asan/,$(UNIT_NAMES)) \
	$(addprefix $(BUILD)/differential/,$(DIFFERENTIAL_NAMES)) $(addprefix $(BUILD)/fuzz/fuzz_,$(FUZZ_NAMES)) ## all programs of the tests, for make -j

# make conformance [RUNTIME=replay,bwrap] [REQ='retry-*'] [NPXC=/other/launcher] [CONFORMANCE_FLAGS=--list]
NPXC ?= $(BUILD)/npxc
CONFORMANCE = $(PYTHON) conformance/run.py --npxc '$(NPXC)' --runtime '$(RUNTIME)' --req '$(REQ)' $(CONFORMANCE_FLAGS)

.PHONY: conformance conformance-status conformance-suite conformance-test conformance-mutations conformance-live
conformance: all ## holds a launcher against the requirements on every runtime here; RUNTIME= REQ= NPXC= choose
	@$(CONFORMANCE) $(if $(filter $(BUILD)/npxc,$(NPXC)),--check-status)

conformance-status: endings ## the same with endings and mutations, and writes conformance/STATUS.md
	@ci/docker $(MAKE) conformance RUNTIME=docker
	@$(PYTHON) conformance/mutations.py
	@$(CONFORMANCE) --status

conformance-test: all ## what make test has of it: replay of all releases (1,000 sessions on the newest), live bwrap
	@$(PYTHON) -m pytest -q -p no:cacheprovider conformance/test_suite.py -k 'not reference'
	@$(MAKE) conformance RUNTIME=replay$(if $(filter Linux,$(UNAME)),$(comma)bwrap) CONFORMANCE_FLAGS='--once net-name-unique'

conformance-suite: all ## the suite itself: the reference launcher passes, each broken one turns red what it says
	@$(PYTHON) -m pytest -q -p no:cacheprovider conformance

conformance-mutations: all ## takes parts out of npxc: each has to turn a requirement red
	@$(PYTHON) conformance/mutations.py

conformance-live: ## what it adds to make test: podman and docker, which ci/podman and ci/docker set up (as root), and the mutations
	@ci/podman
	@$(MAKE) conformance RUNTIME=podman
	@ci/docker $(MAKE) conformance RUNTIME=docker
	@$(MAKE) conformance-mutations

# make attacks [LINK='bwrap/*'] [ATTACK='sni-*,http']
ATTACKS = $(PYTHON) conformance/attacks/run.py --npxc '$(NPXC)' --link '$(LINK)' --attack '$(ATTACK)' $(ATTACKS_FLAGS)

.PHONY: attacks attacks-ci attacks-status attacks-holes
attacks: all ## what a malicious package tries, on every link here, in network namespaces of its own; root, Linux
	@$(ATTACKS) --check-status

attacks-ci: all ## the selection of it for every push
	@$(ATTACKS) --quick

attacks-status: all ## the same as attacks; writes conformance/attacks/STATUS.md
	@$(ATTACKS) --status

attacks-holes: all ## takes guards out of npxc: the attacks that they stop have to get through
	@$(PYTHON) conformance/attacks/holes.py

# make soak [N=10000] [SOAK_FLAGS='--runtime replay-1.2.2 --at-once 16']
N ?= 300
.PHONY: soak
soak: all ## N sessions on the replay shim and N on bwrap, ended in every way: nothing may be left of any
	@$(PYTHON) conformance/soak.py --npxc $(BUILD)/npxc --sessions $(N) --output $(BUILD)/soak.json $(SOAK_FLAGS)

# make torture [SEED=1] [N=5000] [TORTURE_FLAGS='--within 100']
SEED ?= 1
.PHONY: torture
torture: all faults ## N sessions, each with two faults at once, chosen by the seeds from SEED on
	@$(PYTHON) tests/black_box/torture.py --seed $(SEED) --count $(N) --output $(BUILD)/conformance/torture.json $(TORTURE_FLAGS)

# make endings [EACH=10] [COLUMNS='podman:socket'] [DOCKER_COLUMNS=], every runtime and link by default
EACH ?= 10
COLUMNS ?= replay-0.12.3:gateway,replay-1.2.2:gateway,bwrap,bwrap:netns$(if $(shell command -v podman),$(comma)podman$(comma)podman:socket$(comma)podman:gateway)
DOCKER_COLUMNS ?= $(if $(filter Linux0,$(UNAME)$(shell id -u)),docker$(comma)docker:socket$(comma)docker:gateway)
.PHONY: endings
endings: all ## EACH sessions for every way to end, on every runtime and link: how long until nothing is left
	@mkdir -p $(BUILD)/conformance
	@$(PYTHON) conformance/soak.py --npxc $(BUILD)/npxc --each --sessions $(EACH) --runtime $(COLUMNS) --output $(BUILD)/conformance/endings.json
	@$(if $(DOCKER_COLUMNS),ci/docker $(PYTHON) conformance/soak.py --npxc $(BUILD)/npxc --each --sessions $(EACH) --runtime $(DOCKER_COLUMNS) --output $(BUILD)/conformance/endings-docker.json)

clean: ## removes build/
	rm -rf $(BUILD)

-include $(FAULTS_OBJECTS:.o=.d)
-include $(OBJECTS:.o=.d) $(SANITIZED_OBJECTS:.o=.d) $(FUZZ_OBJECTS:.o=.d)
-include $(SHIM_OBJECTS:.o=.d) $(SANITIZED_SHIM_OBJECTS:.o=.d)
