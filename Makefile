# npxc. `make help` lists the targets; GNU make 3.81 is enough.

CC ?= cc
BUILD ?= build
.SECONDARY:
comma := ,
HASH := \#
UNAME := $(shell uname -s)
VERSION := 0.4.0

WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wformat=2 -Wvla -Wstrict-prototypes \
	-Wmissing-prototypes -Wswitch-enum -Werror
HARDENING := -fstack-protector-strong -D_FORTIFY_SOURCE=2
# Optimised for size: the hot loops are in the kernel. Nothing unwinds the stack, so there are no tables for it.
OPTIMISE := -Os -g -ffunction-sections -fdata-sections -fno-asynchronous-unwind-tables
FEATURES := -D_GNU_SOURCE -DNPXC_VERSION='"$(VERSION)"'
CFLAGS_ALL = -std=c11 $(WARNINGS) $(FEATURES) -Isrc $(CFLAGS)
LIBS := -lcjson
ifeq ($(UNAME),Linux)
HARDENING += -fPIE
# Packed relocations, where linker and libc support them (binutils 2.38, glibc 2.36), save 12 KiB.
RELR := -Wl,-z,pack-relative-relocs
RELR := $(shell d=$$(mktemp -d) && echo 'int main(void) { return 0; }' >$$d/p.c && $(CC) -pie $(RELR) $$d/p.c -o $$d/p \
	2>$$d/said && [ ! -s $$d/said ] && $$d/p && echo '$(RELR)'; rm -rf "$$d")
LDFLAGS_HARDENED := -pie -Wl,-z,relro,-z,now -Wl,--gc-sections $(RELR)
LIBS += -luuid -lseccomp -Wl,--as-needed -lresolv # res_query: before glibc 2.34
endif
ifeq ($(UNAME),Darwin) # where every executable is position-independent
FEATURES += -D_DARWIN_C_SOURCE
BREW := $(shell brew --prefix 2>/dev/null)
CFLAGS_ALL += -I$(BREW)/include
RESOLVER ?= -lresolv
LIBS += -L$(BREW)/lib $(RESOLVER)
endif

PYTHON = $(shell for p in python3 /usr/bin/python3; do "$$p" -c 'import pytest' >/dev/null 2>&1 && { echo "$$p"; exit; }; done; echo python3)

SOURCES := $(sort $(wildcard $(patsubst %,src/%/*.c,base json config contain runtime network files teardown egress relay store session commands)))
UNIT_TESTS := $(sort $(wildcard tests/unit/test_*.c))
UNIT_NAMES := $(patsubst tests/unit/%.c,%,$(UNIT_TESTS))

# The replay shim shares base/ and json/ with the launcher, nothing else.
SHIM_SOURCES := $(sort $(wildcard src/shim/*.c))
SHIM_NAMES := container podman docker
SANITIZERS := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -O1 -g

# Every target with a help text.
TARGETS := $(shell sed -n 's/^\([a-z_.-]*\):.*$(HASH)$(HASH) .*/\1/p' Makefile)
.PHONY: $(TARGETS)

all: $(BUILD)/npxc shim ## builds npxc and the replay shim

help: ## lists the targets
	@awk -F ':.*## ' '/^[a-z_.-]+:.*## / { printf "  %-22s %s\n", $$1, $$2 }' Makefile

deps: ## installs what is missing for building and running npxc
	@ci/deps

deps-test: ## installs what is missing for the tests, too
	@ci/deps test

# Everything is compiled by this rule, in several ways. $(call variant,LIBRARIES,OBJECTS,COMPILER,FLAGS): the directories of
# the libraries and of the objects, and the names of two variables.
define variant
$(2)/%.o: src/%.c Makefile
	@mkdir -p $$(@D)
	@echo "CC $$@"
	@$$($(3)) $$(CFLAGS_ALL) $$($(4)) -MMD -MP -c $$< -o $$@

$(2)/guest/%.o: $(BUILD)/guest/%.c Makefile
	@mkdir -p $$(@D)
	@echo "CC $$@"
	@$$($(3)) $$(CFLAGS_ALL) $$($(4)) -MMD -MP -c $$< -o $$@

$(1)/libnpxc.a: $(patsubst src/%.c,$(2)/%.o,$(SOURCES)) $(2)/guest/egress.o $(2)/guest/first_program.o
$(1)/libshim.a: $(patsubst src/%.c,$(2)/%.o,$(filter-out %/main.c,$(SHIM_SOURCES)))
$(1)/libnpxc.a $(1)/libshim.a:
	@rm -f $$@
	@$$(AR) rcs $$@ $$(filter %.o,$$^)

-include $(wildcard $(2)/*.d $(2)/*/*.d)
endef

FLAGS_PLAIN = $(OPTIMISE) $(HARDENING)
FLAGS_FAULTS = -O0 -g -DNPXC_FAULTS
FLAGS_FUZZ = $(SANITIZERS) -fsanitize=fuzzer-no-link
FUZZ_CC ?= clang
$(eval $(call variant,$(BUILD),$(BUILD)/obj,CC,FLAGS_PLAIN))
$(eval $(call variant,$(BUILD)/asan,$(BUILD)/asan,CC,SANITIZERS))
$(eval $(call variant,$(BUILD)/faults,$(BUILD)/faults/obj,CC,FLAGS_FAULTS))
$(eval $(call variant,$(BUILD)/fuzz,$(BUILD)/fuzz/obj,FUZZ_CC,FLAGS_FUZZ))

# Test programs of one source each. $(call program,TARGET,SOURCE,LIBRARIES,COMPILER,FLAGS,MORE LIBRARIES): two patterns, two
# names of variables. GNU make 3.81 takes the first pattern that fits, so that the shim's tests stand before all others.
define program
$(1): $(2) $(3) Makefile
	@mkdir -p $$(@D)
	$$($(4)) $$(CFLAGS_ALL) $$($(5)) -MMD -MP -MF $$@.d -MT $$@ $$< $$(filter %.a,$$^) -o $$@ $(6) $$(LIBS)

-include $(wildcard $(dir $(1))*.d)
endef

FLAGS_FUZZER = $(SANITIZERS) -fsanitize=fuzzer
$(eval $(call program,$(BUILD)/unit/test_shim%,tests/unit/test_shim%.c,$(BUILD)/libshim.a $(BUILD)/libnpxc.a,CC,OPTIMISE,-lcmocka))
$(eval $(call program,$(BUILD)/unit-asan/test_shim%,tests/unit/test_shim%.c,$(BUILD)/asan/libshim.a $(BUILD)/asan/libnpxc.a,CC,SANITIZERS,-lcmocka))
$(eval $(call program,$(BUILD)/unit/%,tests/unit/%.c,$(BUILD)/libnpxc.a,CC,OPTIMISE,-lcmocka))
$(eval $(call program,$(BUILD)/unit-asan/%,tests/unit/%.c,$(BUILD)/asan/libnpxc.a,CC,SANITIZERS,-lcmocka))
$(eval $(call program,$(BUILD)/bench/%,tests/bench/%.c,$(BUILD)/libnpxc.a,CC,OPTIMISE))
$(eval $(call program,$(BUILD)/differential/%,tests/differential/%.c,$(BUILD)/asan/libnpxc.a,CC,SANITIZERS))
$(eval $(call program,$(BUILD)/fuzz/fuzz_%,tests/fuzz/fuzz_%.c,$(BUILD)/fuzz/libnpxc.a,FUZZ_CC,FLAGS_FUZZER))

# The script that guests load, as an array (src/guest/guest.h). Comments and indentation go, line numbers stay.
$(BUILD)/guest/egress.cjs: src/guest/egress.cjs Makefile
	@mkdir -p $(@D)
	@sed -e 's|^[[:blank:]]*//.*||' -e 's|^[[:blank:]]*||' $< >$@

$(BUILD)/guest/egress.c: $(BUILD)/guest/egress.cjs src/guest/embed
	@echo "EMBED $<"
	@src/guest/embed GUEST_EGRESS_JS $< >$@.part && mv $@.part $@

# The first program of a sandbox (src/guest/first.c): 4 KiB, no C library. Empty on machines that it does not support.
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

$(BUILD)/npxc: $(BUILD)/obj/main.o $(BUILD)/libnpxc.a
	$(CC) $(LDFLAGS_HARDENED) $(LDFLAGS) $(filter %.o %.a,$^) -o $@ $(LIBS)

# For tests only: the ordinary npxc has no fault points (src/base/fault.h).
$(BUILD)/faults/npxc: $(BUILD)/faults/obj/main.o $(BUILD)/faults/libnpxc.a
	$(CC) $(LDFLAGS) $(filter %.o %.a,$^) -o $@ $(LIBS)

faults: $(BUILD)/faults/npxc ## builds an npxc with fault points, for the crash matrix

$(BUILD)/shim/container: $(BUILD)/obj/shim/main.o $(BUILD)/libshim.a $(BUILD)/libnpxc.a
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS_HARDENED) $(filter %.o %.a,$^) -o $@ $(LIBS)

$(BUILD)/shim/podman $(BUILD)/shim/docker: $(BUILD)/shim/container
	@ln -sf container $@

shim: $(addprefix $(BUILD)/shim/,$(SHIM_NAMES)) ## builds the replay container CLI, also as podman and docker

PREFIX ?= /usr/local
install: $(BUILD)/npxc ## installs npxc and its manual pages below PREFIX [/usr/local], staged in DESTDIR
	install -d '$(DESTDIR)$(PREFIX)/bin' '$(DESTDIR)$(PREFIX)/share/man/man1' '$(DESTDIR)$(PREFIX)/share/man/man5'
	install -m 755 $(BUILD)/npxc '$(DESTDIR)$(PREFIX)/bin/npxc'
	install -m 644 src/man/npxc.1 '$(DESTDIR)$(PREFIX)/share/man/man1/npxc.1'
	install -m 644 src/man/npxc.json.5 '$(DESTDIR)$(PREFIX)/share/man/man5/npxc.json.5'

uninstall: ## removes what install put there; the store and the configuration of users stay
	rm -f '$(DESTDIR)$(PREFIX)/bin/npxc' '$(DESTDIR)$(PREFIX)/share/man/man1/npxc.1' \
		'$(DESTDIR)$(PREFIX)/share/man/man5/npxc.json.5'

dist: ## makes build/npxc-VERSION.tar.gz, the sources of the current commit
	@mkdir -p $(BUILD)
	git archive --format=tar.gz --prefix=npxc-$(VERSION)/ -o $(BUILD)/npxc-$(VERSION).tar.gz HEAD

# For clangd and other tools. Every source with the flags of the ordinary build.
compile_commands.json: ## writes compile_commands.json, for editors
	@printf '%s\n' $(sort $(SOURCES) $(SHIM_SOURCES) src/main.c $(wildcard tests/*/*.c)) | \
		COMMAND='$(subst ','\'',$(CC) $(CFLAGS_ALL) $(FLAGS_PLAIN))' DIRECTORY='$(CURDIR)' awk ' \
		function quoted(text) { gsub(/["\\]/, "\\\\&", text); return "\"" text "\"" } \
		{ printf "%s{\"directory\": %s, \"file\": %s, \"command\": %s}", NR == 1 ? "[\n" : ",\n", \
			quoted(ENVIRON["DIRECTORY"]), quoted($$0), quoted(ENVIRON["COMMAND"] " -c " $$0) } \
		END { print "\n]" }' >$@.part && mv $@.part $@

unit: $(addprefix $(BUILD)/unit/,$(UNIT_NAMES)) ## runs the unit tests
	@for t in $^; do $$t || exit 1; done

unit-asan: $(addprefix $(BUILD)/unit-asan/,$(UNIT_NAMES)) ## runs the unit tests under AddressSanitizer and UBSan
	@for t in $^; do $$t || exit 1; done

bench: all $(BUILD)/bench/relay $(BUILD)/bench/egress $(BUILD)/bench/lease ## measures start, relay, allowlist, memory and size; writes build/bench.json
	$(PYTHON) tests/bench/all.py --npxc $(BUILD)/npxc --programs $(BUILD)/bench/relay --output $(BUILD)/bench.json

# BENCH_RELAY='build/npxc ... {server_line}' measures a whole npxc instead of the relay alone.
bench-egress: all $(BUILD)/bench/egress ## measures allowlisted against direct connections; writes build/bench-egress.json
	$(PYTHON) tests/bench/egress.py --npxc $(BUILD)/npxc --program $(BUILD)/bench/egress \
		--output $(BUILD)/bench-egress.json $(BENCH_FLAGS)

bench-leases: all $(BUILD)/bench/lease ## measures leases, sweep and janitor; writes build/bench-leases.json
	$(PYTHON) tests/bench/leases.py --npxc $(BUILD)/npxc --program $(BUILD)/bench/lease --output $(BUILD)/bench-leases.json

bench-install: all ## measures first starts beside npx, with packages of npm's registry; writes build/bench-install.json
	$(PYTHON) tests/bench/install.py --npxc $(BUILD)/npxc --output $(BUILD)/bench-install.json $(BENCH_FLAGS)

bench-relay: $(BUILD)/bench/relay ## measures round trip and throughput of the relay; writes build/bench-relay.json
	$(PYTHON) tests/bench/relay.py --programs $(BUILD)/bench/relay --output $(BUILD)/bench-relay.json \
		$(if $(BENCH_RELAY),--relay '$(BENCH_RELAY)') $(BENCH_FLAGS)

# Parts of npxc compared with other implementations.
DIFFERENTIAL_NAMES := $(patsubst tests/differential/%.c,%,$(sort $(wildcard tests/differential/*.c)))

differential: $(addprefix $(BUILD)/differential/,$(DIFFERENTIAL_NAMES)) ## compares the JSON scanner and the identification of paths with models in Python
	@NPXC_BUILD=$(abspath $(BUILD)) $(PYTHON) -m pytest -q -p no:cacheprovider tests/differential

layers: ## checks the direction of includes, path-taking calls and fault points
	@ci/layers
	@ci/paths
	@ci/fault-points >/dev/null

# Fuzzing needs clang. Each target tests/fuzz/fuzz_NAME.c has its seeds in tests/fuzz/corpus/NAME
# and, where it helps, a dictionary NAME.dict; findings stay below build/.
FUZZ_SECONDS ?= 300
FUZZ_SMOKE_SECONDS ?= 60
FUZZ_NAMES := $(patsubst tests/fuzz/fuzz_%.c,%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))

fuzz: $(addprefix $(BUILD)/fuzz/fuzz_,$(FUZZ_NAMES)) ## runs each fuzz target for FUZZ_SECONDS [300]
	@for name in $(FUZZ_NAMES); do tests/fuzz/run $(BUILD)/fuzz $$name $(FUZZ_SECONDS) || exit 1; done

fuzz-smoke: ## runs all fuzz targets for FUZZ_SMOKE_SECONDS [60] together
	@$(MAKE) fuzz FUZZ_SECONDS=$$(( $(FUZZ_SMOKE_SECONDS) / $(words $(FUZZ_NAMES)) ))

cross-macos: ## compiles and links for arm64 macOS; fetches a cross compiler and cJSON's source
	@BUILD='$(BUILD)' MAKE='$(MAKE)' ci/cross-macos

FORMATTED = $(shell find src tests -name '*.[ch]' | sort)

format-check: ## checks the format of the C sources with clang-format
	@clang-format --dry-run -Werror $(FORMATTED)

# E9 and F: syntax errors, and names that are undefined or unused.
SCRIPTS = $(shell grep -rlE '^.!(/bin/sh|/usr/bin/env bash)$$' .ci ci conformance src tests)
lint: ## checks the scripts with shellcheck and the Python files with flake8
	@shellcheck --severity=style $(SCRIPTS)
	@flake8 --isolated --select=E9,F ci/lint-fixtures src/man/generate conformance tests

man: all ## writes the tables of the manual pages anew, from npxc --help and the schemas
	@$(PYTHON) src/man/generate --write $(BUILD)/npxc

man-check: all ## checks that the tables of the manual pages are up to date
	@$(PYTHON) src/man/generate $(BUILD)/npxc
	@if command -v mandoc >/dev/null; then mandoc -T lint -W warning src/man/npxc.1 src/man/npxc.json.5; fi

lint-fixtures: ## checks fixtures for home paths, tokens, real hosts and addresses
	@ci/lint-fixtures

# One clang-tidy per processor; .clang-tidy and comments in the sources give reasons for exceptions. Null pointers are left
# to clang-tidy: cppcheck mistakes MEM_TAKE for the NULL that it leaves behind.
TIDY_FLAGS = -std=c11 $(FEATURES) -Isrc
CPPCHECK_FLAGS = --quiet --std=c11 --enable=warning,style,performance,portability --inline-suppr --error-exitcode=1 \
	--suppress=nullPointer --suppress=nullPointerArithmetic --suppress=ctunullpointer \
	-D_GNU_SOURCE -D__linux__ -DNPXC_VERSION='"$(VERSION)"' -Isrc

static: ## runs clang-tidy and cppcheck
	@cppcheck $(CPPCHECK_FLAGS) src
	@find src -name '*.c' | sort | xargs -P "$$(getconf _NPROCESSORS_ONLN)" -I{} sh -c \
		'clang-tidy --quiet "$$0" -- "$$@" 2>/dev/null || { echo "clang-tidy: $$0" >&2; exit 1; }' {} $(TIDY_FLAGS)

clang: ## builds everything and the unit tests with clang
	@$(MAKE) CC=clang BUILD=$(BUILD)/clang all $(patsubst %,$(BUILD)/clang/unit/%,$(UNIT_NAMES))

format: ## formats the C sources with clang-format
	@clang-format -i $(FORMATTED)

demo: ## installs what is missing, builds, and tries a real server in the sandbox
	@$(MAKE) deps
	@$(MAKE) all
	@$(BUILD)/npxc try @modelcontextprotocol/server-everything

black-box: all faults ## tests the launcher as users and clients see it
	@$(PYTHON) -m pytest -q -p no:cacheprovider tests/black_box

# GUEST_NODES: major releases, among those that tests/guest/conftest.py pins; CI uses the oldest and the newest.
GUEST_NODES ?= 18,20,22,24,26
guest: $(BUILD)/guest/egress.cjs ## tests the code that runs inside on GUEST_NODES; fetches Node releases and npm packages
	@NPXC_BUILD=$(abspath $(BUILD)) NPXC_TEST_NODES=$(GUEST_NODES) $(PYTHON) -m pytest -q -p no:cacheprovider tests/guest

clients: all faults ## tests what other people's clients see; fetches 1.5 GB of npm packages once
	@$(PYTHON) -m pytest -q -p no:cacheprovider -rs tests/black_box/test_clients.py
	@$(PYTHON) -m pytest -q -p no:cacheprovider -rs tests/clients

live: all ## tests sessions on a real podman, set up by ci/podman; root only
	@ci/podman
	@$(PYTHON) -m pytest -q -p no:cacheprovider -rs tests/live
	@NPXC_TEST_RUNTIME=podman $(PYTHON) -m pytest -q -p no:cacheprovider -rs tests/black_box/test_real_files.py

live-docker: all ## tests sessions on a docker engine that ci/docker starts and ends; root only
	@ci/docker env NPXC_TEST_RUNTIME=docker $(PYTHON) -m pytest -q -p no:cacheprovider -rs tests/live

record: all ## records a real container CLI into fixtures/; RUNTIME=podman, docker or apple
	@$(PYTHON) tests/record/record.py $(RUNTIME) --npxc $(BUILD)/npxc
	@ci/lint-fixtures

corpus: all ## compares the tools of 46 real servers bare and under npxc; fetches 5 GB; CORPUS_FLAGS for run.py
	@$(PYTHON) conformance/corpus/run.py --npxc $(BUILD)/npxc --output $(BUILD)/corpus.json $(CORPUS_FLAGS)

corpus-ci: all ## compares the six of them that every push tries
	@$(PYTHON) conformance/corpus/run.py --npxc $(BUILD)/npxc --output $(BUILD)/corpus.json --ci \
		--cache "$${NPXC_TEST_CACHE:-$(BUILD)/test-cache-$$(id -u)}" $(CORPUS_FLAGS)

contact: all ## starts each server of the corpus bare, literally, and with what stderr named; CONTACT_FLAGS for contact.py
	@$(PYTHON) conformance/corpus/contact.py --npxc $(BUILD)/npxc $(CONTACT_FLAGS)

corpus-files: all ## plays real servers with files bare, on bwrap and, as root, on podman; fetches 900 MB; CORPUS_FLAGS for files.py
	@$(if $(filter Linux0,$(UNAME)$(shell id -u)),ci/podman)
	@$(PYTHON) conformance/corpus/files.py --npxc $(BUILD)/npxc \
		--runtime bwrap$(if $(filter Linux0,$(UNAME)$(shell id -u)),$(comma)podman) $(CORPUS_FLAGS)

test: ## runs the checks for every commit: installs what is missing, builds, unit tests, sanitizers, black box and more
	@$(MAKE) deps-test
	@$(MAKE) layers format-check lint-fixtures lint
	@$(MAKE) all man-check
	@$(MAKE) unit unit-asan
	@$(MAKE) differential
	@$(MAKE) conformance-test
	@$(MAKE) black-box

# All of it takes hours; corpus alone fetches 5 GB of packages.
CHECKS := test static fuzz-smoke guest corpus corpus-files soak torture conformance-suite
ifeq ($(UNAME),Linux)
CHECKS += clang cross-macos
endif
ifeq ($(UNAME)$(shell id -u),Linux0)
CHECKS += conformance-live endings live live-docker attacks attacks-holes
endif
check-all: ## runs every check there is, for hours; as root on podman and docker as well
	@for check in $(CHECKS); do $(MAKE) "$$check" || exit 1; done

# The targets of the tests build their programs too, but one after the other.
TEST_PROGRAMS = $(addprefix $(BUILD)/unit/,$(UNIT_NAMES)) $(addprefix $(BUILD)/unit-asan/,$(UNIT_NAMES)) \
	$(addprefix $(BUILD)/differential/,$(DIFFERENTIAL_NAMES)) $(addprefix $(BUILD)/fuzz/fuzz_,$(FUZZ_NAMES)) \
	$(patsubst tests/%.c,$(BUILD)/%,$(wildcard tests/bench/*.c))
built: all faults $(TEST_PROGRAMS) ## builds all test programs at once, for make -j

# make conformance [RUNTIME=replay,bwrap] [REQ='retry-*'] [NPXC=/other/launcher] [CONFORMANCE_FLAGS=--list]
NPXC ?= $(BUILD)/npxc
CONFORMANCE = $(PYTHON) conformance/run.py --npxc '$(NPXC)' --runtime '$(RUNTIME)' --req '$(REQ)' $(CONFORMANCE_FLAGS)

conformance: all ## tests a launcher against the requirements on every runtime here; RUNTIME=, REQ=, NPXC= choose
	@$(CONFORMANCE) $(if $(filter $(BUILD)/npxc,$(NPXC)),--check-status)

conformance-status: $(if $(RUNTIME),all,endings) ## runs conformance and writes conformance/status/: of RUNTIME=, or of all, with endings and mutations
	@$(if $(RUNTIME),,ci/docker $(MAKE) conformance-status RUNTIME=docker)
	@$(if $(RUNTIME),,$(PYTHON) conformance/mutations.py)
	@$(CONFORMANCE) --status

conformance-test: all ## runs the part of conformance that make test has: all replayed releases, and bwrap
	@$(PYTHON) -m pytest -q -p no:cacheprovider conformance/test_suite.py -k 'not reference'
	@$(MAKE) conformance RUNTIME=replay$(if $(filter Linux,$(UNAME)),$(comma)bwrap) CONFORMANCE_FLAGS='--once net-name-unique'

conformance-suite: all ## tests the suite: the reference launcher passes, each broken launcher fails its rows
	@$(PYTHON) -m pytest -q -p no:cacheprovider conformance

new-requirement: ## ID=net-such-and-such: row, check and scenario, as stubs that the suite complains about
	@$(PYTHON) conformance/scaffold.py requirement '$(ID)'

new-broken: ## NAME=does_so [REQ=ids that it turns red] [RUNTIME=bwrap]: a broken launcher, as a stub
	@$(PYTHON) conformance/scaffold.py broken '$(NAME)' --req '$(REQ)' --runtime '$(RUNTIME)'

conformance-mutations: all faults ## removes parts of npxc and checks that a requirement fails for each
	@$(PYTHON) conformance/mutations.py

conformance-live: ## runs conformance on podman and docker, and the mutations; root only
	@ci/podman
	@$(MAKE) conformance RUNTIME=podman
	@ci/docker $(MAKE) conformance RUNTIME=docker
	@$(MAKE) conformance-mutations

# make attacks [LINK='bwrap/*'] [ATTACK='sni-*,http']
ATTACKS = $(PYTHON) conformance/attacks/run.py --npxc '$(NPXC)' --link '$(LINK)' --attack '$(ATTACK)' $(ATTACKS_FLAGS)

attacks: all ## runs the attacks of a malicious package on every link here; root only, Linux
	@$(ATTACKS) --check-status

attacks-ci: all ## runs the attacks that every push tries
	@$(ATTACKS) --quick

attacks-status: all ## runs the attacks and writes conformance/attacks/STATUS.md
	@$(ATTACKS) --status

attacks-holes: all faults ## removes guards from npxc and checks that an attack succeeds for each
	@$(PYTHON) conformance/attacks/holes.py

# make soak [N=10000] [SOAK_FLAGS='--runtime replay-1.2.2 --at-once 16']
N ?= 300
soak: all ## runs N [300] sessions on the replay shim and N on bwrap, ended in every way; nothing may be left
	@$(PYTHON) conformance/soak.py --npxc $(BUILD)/npxc --sessions $(N) --output $(BUILD)/soak.json $(SOAK_FLAGS)

# make torture [SEED=1] [N=5000] [TORTURE_FLAGS='--within 100']
SEED ?= 1
torture: all faults ## runs N [300] sessions with two faults each, chosen by the seeds from SEED [1] on
	@$(PYTHON) tests/black_box/torture.py --seed $(SEED) --count $(N) --output $(BUILD)/conformance/torture.json $(TORTURE_FLAGS)

# make endings [EACH=10] [COLUMNS='podman:socket'] [DOCKER_COLUMNS=]; every runtime and link by default
EACH ?= 10
COLUMNS ?= replay-0.12.3:gateway,replay-1.2.2:gateway,bwrap,bwrap:netns$(if $(shell command -v podman),$(comma)podman$(comma)podman:socket$(comma)podman:gateway)
DOCKER_COLUMNS ?= $(if $(filter Linux0,$(UNAME)$(shell id -u)),docker$(comma)docker:socket$(comma)docker:gateway)
endings: all ## measures how long each way to end takes, EACH [10] times on every runtime and link
	@mkdir -p $(BUILD)/conformance
	@$(PYTHON) conformance/soak.py --npxc $(BUILD)/npxc --each --sessions $(EACH) --runtime $(COLUMNS) --output $(BUILD)/conformance/endings.json
	@$(if $(DOCKER_COLUMNS),ci/docker $(PYTHON) conformance/soak.py --npxc $(BUILD)/npxc --each --sessions $(EACH) --runtime $(DOCKER_COLUMNS) --output $(BUILD)/conformance/endings-docker.json)

clean: ## removes build/
	rm -rf $(BUILD)
