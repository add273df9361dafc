# varve: build, test, install. `make help` lists the targets.

# Knobs
CC       ?= gcc
PREFIX   ?= /usr/local
DESTDIR  ?=
O        ?= build
V        ?= 0
# SANITIZE=address,undefined or SANITIZE=thread; COVERAGE=1. Each variant has its own build folder.
SANITIZE ?=
COVERAGE ?= 0

# One name for each file, however O was written: what an object depends on is noted under its name.
override O := $(patsubst $(CURDIR)/%,%,$(abspath $(O)))

VERSION  := 0.1.0
comma    := ,
VARIANT  := $(if $(SANITIZE),-$(subst $(comma),-,$(SANITIZE)))$(if $(filter 1,$(COVERAGE)),-coverage)
B        := $(O)/out$(VARIANT)
Q        := $(if $(filter 1,$(V)),,@)

PKGS_store := sqlite3 libxxhash libzstd libarchive libsodium libcurl
PKGS_fs    := fuse3 libmicrohttpd jansson
PKGS_tools := libcurl jansson
PKGS       := $(PKGS_store) $(PKGS_fs) $(PKGS_tools) cmocka

# Libraries are looked up when something is compiled, so that `make deps` works before they are there.
PKG_CFLAGS = $(shell pkg-config --cflags $(PKGS))
CPPFLAGS  += -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -DVARVE_VERSION='"$(VERSION)"' -I.
CFLAGS    ?= -O2 -g
CFLAGS    += -std=gnu17 -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -fno-strict-aliasing -pthread
LDFLAGS   += -pthread
ifneq ($(SANITIZE),)
CFLAGS    += -fsanitize=$(SANITIZE) -fno-omit-frame-pointer -fno-sanitize-recover=all
LDFLAGS   += -fsanitize=$(SANITIZE)
endif
ifeq ($(COVERAGE),1)
CFLAGS    += --coverage
LDFLAGS   += --coverage
endif

# Each folder of store/ is one archive; the order is link order, users first.
STORE_MODULES := repo archive maint volume meta journal chunk base
STORE_LIBS    := $(STORE_MODULES:%=$(B)/lib%.a)
STORE_LDLIBS   = $(shell pkg-config --libs $(PKGS_store))

objs = $(patsubst %.c,$(B)/%.o,$(1))
FS_OBJS    := $(call objs,$(wildcard fs/*.c docker/*.c))
TOOLS_OBJS := $(call objs,$(wildcard tools/*.c))
TLIB_OBJS  := $(call objs,$(wildcard tests/lib/*.c))

UNIT_SRCS  := $(wildcard tests/unit/*/test_*.c)
UNIT_BINS  := $(patsubst %.c,$(B)/%,$(UNIT_SRCS))
MODEL_BIN  := $(B)/tests/model/model
FAULTS_BIN := $(B)/tests/faults/faults
# What the tests of power cuts share.
DISK_SRCS  := tests/crash/tree.c tests/crash/io_watch.c tests/crash/disk.c tests/crash/disk_folder.c
CRASH_BIN  := $(B)/tests/crash/crash
POSIX_BIN  := $(B)/tests/mount/posix
BENCH_BINS := $(B)/tests/bench/work $(B)/tests/bench/passthrough_ll

# Tests run against these binaries; a caller may point them elsewhere.
VARVE  ?= $(abspath $(B)/varve)
VARVED ?= $(abspath $(B)/varved)
export VARVE VARVED
# What a test script needs to know of the build.
TEST_ENV = B=$(abspath $(B)) O=$(abspath $(O)) MAKE="$(MAKE)"
# The model run and the tests with random data print their seed; SEED=N replays one.
SEED ?=

.PHONY: all
all: $(B)/varved $(B)/varve

.PHONY: help
help:
	@echo "Build"
	@echo "  make                varved (the daemon) and varve (the command line), into $(B)"
	@echo "  make deps           install what building, testing and the demo need (apt, as root)"
	@echo "  make install        to \$$(DESTDIR)\$$(PREFIX), PREFIX=$(PREFIX); make uninstall takes it away"
	@echo "  make deb            build $(DEB)"
	@echo "  make clean          remove $(O)"
	@echo "Try"
	@echo "  make demo           a PostgreSQL on a volume: snapshot under load, destroy, roll back, clone (as root)"
	@echo "Test"
	@echo "  make check          what a change must pass, at most 12 minutes on two cores (as root)"
	@echo "  make check-all      check, and everything that takes longer"
	@echo "  make check-model    the model test; OPS=1000000 SEED=1"
	@echo "  make check-faults   every allocation, SQLite call and I/O of a workload fails once; STRIDE=29 for a part"
	@echo "  make check-crash    the power fails at 10,000 moments; POINTS=10000 SEED=1"
	@echo "  make check-fuzz     every parser on random changes of valid input; RUNS=1000000 SEED=1; make fuzz-NAME: libFuzzer"
	@echo "  make check-mount    every mounted test; T=tests/mount/sqlite.sh for one"
	@echo "  make check-s3       repositories in s3rver and in Ceph's radosgw, which it installs"
	@echo "  make check-pg       PostgreSQL under 100 snapshots and 10 clones"
	@echo "  make check-docker   a container of a real Docker engine on a volume"
	@echo "  make check-tsan     the unit tests of threaded modules under ThreadSanitizer"
	@echo "  make check-mount-asan  the quick mounted tests with AddressSanitizer, LeakSanitizer and UBSan"
	@echo "  make check-mount-tsan  the same with ThreadSanitizer"
	@echo "  make check-valgrind unit tests, the model test, and a mounted daemon and the commands under valgrind"
	@echo "  make unit-MODULE    the unit tests of store/MODULE"
	@echo "  make bench          ratios to ext4 and passthrough_ll; BENCH=seqwrite,pgbench ROUNDS=5"
	@echo "  make bench-backup   varve push beside restic, borg, casync and btrfs send; BACKUP='--days 3 --only varve,borg'"
	@echo "  make bench-reopen   how long opening takes after a crash, at 1 and 20 GB, and with a million files"
	@echo "Knobs: O=folder V=1 SANITIZE=address,undefined|thread COVERAGE=1"

define store_lib
$(B)/lib$(1).a: $(call objs,$(wildcard store/$(1)/*.c))
	@rm -f $$@
	$(Q)$(AR) rcs $$@ $$^
endef
$(foreach m,$(STORE_MODULES),$(eval $(call store_lib,$(m))))

$(B)/%.o: %.c
	@mkdir -p $(@D)
	@$(if $(Q),echo "  CC      $<")
	$(Q)$(CC) $(CPPFLAGS) $(PKG_CFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(B)/varved: $(FS_OBJS) $(STORE_LIBS)
	@$(if $(Q),echo "  LINK    $@")
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(STORE_LDLIBS) $(shell pkg-config --libs $(PKGS_fs))

$(B)/varve: $(TOOLS_OBJS) $(STORE_LIBS)
	@$(if $(Q),echo "  LINK    $@")
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(STORE_LDLIBS) $(shell pkg-config --libs $(PKGS_tools))

# A unit test of store/MODULE links MODULE and what it may include.
unit_libs_base    := base
unit_libs_chunk   := chunk base
unit_libs_journal := journal base
unit_libs_meta    := meta base
unit_libs_volume  := volume meta journal chunk base
unit_libs_maint   := maint volume meta journal chunk base
unit_libs_archive := archive volume meta journal chunk base
unit_libs_repo    := repo maint volume meta journal chunk base
define unit_rule
$(B)/tests/unit/$(1)/%: $(B)/tests/unit/$(1)/%.o $(TLIB_OBJS) $(unit_libs_$(1):%=$(B)/lib%.a)
	@$(if $(Q),echo "  LINK    $$@")
	$(Q)$(CC) $(LDFLAGS) -o $$@ $$^ $$(STORE_LDLIBS) $$(shell pkg-config --libs cmocka)
endef
$(foreach m,$(STORE_MODULES),$(eval $(call unit_rule,$(m))))

# Fuzz targets: with the driver of their own seeds, or with libFuzzer.
FUZZ_NAMES := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_BINS  := $(FUZZ_NAMES:%=$(B)/tests/fuzz/fuzz_%)
FUZZ_LIBS  := repo maint archive volume meta journal chunk base
$(FUZZ_BINS): $(B)/tests/fuzz/fuzz_%: $(B)/tests/fuzz/fuzz_%.o $(B)/tests/fuzz/driver.o $(FUZZ_LIBS:%=$(B)/lib%.a)
	@$(if $(Q),echo "  LINK    $@")
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(STORE_LDLIBS)

RUNS    ?= 1000000
SECONDS ?= 60
.PHONY: check-fuzz fuzz-bins
fuzz-bins: $(FUZZ_BINS)
check-fuzz: $(FUZZ_BINS)
	$(Q)for t in $(FUZZ_BINS); do $$t --runs $(RUNS) --seed $(or $(SEED),$(shell date +%s)) || exit 1; done

.PHONY: fuzz-%
# `make fuzz-record SECONDS=600`: libFuzzer on one target, built apart with clang.
fuzz-%:
	$(Q)mkdir -p $(O)/fuzz/corpus-$*
	$(Q)clang $(CPPFLAGS) $(PKG_CFLAGS) -O1 -g -std=gnu17 -fno-strict-aliasing -pthread -fsanitize=fuzzer,address,undefined \
		-o $(O)/fuzz/fuzz_$* tests/fuzz/fuzz_$*.c $(foreach m,$(FUZZ_LIBS),$(wildcard store/$(m)/*.c)) $(STORE_LDLIBS)
	$(Q)$(MAKE) --no-print-directory $(B)/tests/fuzz/fuzz_$*
	$(Q)$(B)/tests/fuzz/fuzz_$* --write-seeds $(O)/fuzz/corpus-$*
	$(Q)cd $(O)/fuzz && ./fuzz_$* -max_total_time=$(SECONDS) corpus-$*

# A unit test of tools links what is not main, a command or what opens the store for one, and so needs no engine.
$(B)/tests/unit/tools/%: $(B)/tests/unit/tools/%.o $(filter-out %/main.o %/daemon.o $(B)/tools/cmd_%,$(TOOLS_OBJS)) $(B)/libbase.a
	@$(if $(Q),echo "  LINK    $@")
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(shell pkg-config --libs $(PKGS_tools) cmocka)

# A unit test of fs or docker links the module that it is named for, and the engine.
define module_rule
$(B)/tests/unit/$(1)/test_%: $(B)/tests/unit/$(1)/test_%.o $(B)/$(1)/%.o $(STORE_LIBS)
	@$(if $(Q),echo "  LINK    $$@")
	$(Q)$(CC) $(LDFLAGS) -o $$@ $$^ $$(STORE_LDLIBS) $$(shell pkg-config --libs jansson cmocka)
endef
$(foreach m,fs docker,$(eval $(call module_rule,$(m))))

.PHONY: unit-bins
unit-bins: $(UNIT_BINS)

.PHONY: unit-%
# `make unit-chunk` builds and runs the unit tests of one module.
unit-%:
	$(Q)$(MAKE) --no-print-directory $(patsubst %.c,$(B)/%,$(wildcard tests/unit/$*/test_*.c))
	$(Q)for t in $(patsubst %.c,$(B)/%,$(wildcard tests/unit/$*/test_*.c)); do $$t || exit 1; done

$(MODEL_BIN): $(call objs,$(wildcard tests/model/*.c) $(DISK_SRCS)) $(TLIB_OBJS) $(STORE_LIBS)
	@$(if $(Q),echo "  LINK    $@")
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(STORE_LDLIBS)

# The engine's calls of these go through tests/faults/fault_wrap.c.
FAULT_WRAPS := malloc calloc realloc aligned_alloc strdup fdopendir asprintf ZSTD_createCCtx ZSTD_createDCtx ZSTD_compressCCtx \
	sqlite3_step sqlite3_prepare_v2 sqlite3_prepare_v3 sqlite3_wal_checkpoint_v2
$(FAULTS_BIN): $(call objs,$(wildcard tests/faults/*.c)) $(STORE_LIBS)
	@$(if $(Q),echo "  LINK    $@")
	$(Q)$(CC) $(LDFLAGS) $(FAULT_WRAPS:%=-Wl,--wrap=%) -o $@ $^ $(STORE_LDLIBS)

# The model without its main; time and random numbers are the test's own.
$(CRASH_BIN): $(call objs,$(wildcard tests/crash/*.c) $(filter-out tests/model/model.c,$(wildcard tests/model/*.c))) $(TLIB_OBJS) $(STORE_LIBS)
	@$(if $(Q),echo "  LINK    $@")
	$(Q)$(CC) $(LDFLAGS) -Wl,--wrap=clock_gettime,--wrap=getrandom -o $@ $^ $(STORE_LDLIBS)

$(POSIX_BIN): $(call objs,$(wildcard tests/mount/posix*.c))
	@$(if $(Q),echo "  LINK    $@")
	$(Q)$(CC) $(LDFLAGS) -o $@ $^

$(B)/tests/bench/work: $(call objs,$(wildcard tests/bench/work*.c))
	@$(if $(Q),echo "  LINK    $@")
	$(Q)$(CC) $(LDFLAGS) -o $@ $^

REOPEN_BIN := $(B)/tests/bench/reopen
$(REOPEN_BIN): $(B)/tests/bench/reopen.o $(STORE_LIBS)
	@$(if $(Q),echo "  LINK    $@")
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(STORE_LDLIBS)

# What FUSE itself costs: libfuse's own example, as it is shipped, built without our warnings.
$(B)/tests/bench/passthrough_ll: /usr/share/doc/libfuse3-dev/examples/passthrough_ll.c
	@mkdir -p $(@D)
	@$(if $(Q),echo "  CC      $<")
	$(Q)$(CC) -O2 -pthread -w -o $@ $< $(shell pkg-config --cflags --libs fuse3)

.PHONY: test-bins
test-bins: unit-bins $(MODEL_BIN) $(CRASH_BIN) $(FAULTS_BIN) $(FUZZ_BINS) $(POSIX_BIN)

.PHONY: deps
deps:
	$(Q)tests/lib/deps.sh

.PHONY: check check-all check-model check-crash check-faults check-mount check-s3 check-pg check-docker check-tsan check-mount-asan check-mount-tsan check-valgrind check-includes
check: deps
	$(Q)$(TEST_ENV) SEED=$(SEED) tests/lib/check.sh quick

check-all: deps
	$(Q)$(TEST_ENV) SEED=$(SEED) tests/lib/check.sh all

OPS ?= 1000000
check-model: $(MODEL_BIN)
	$(Q)$(MODEL_BIN) --ops $(OPS) --seed $(or $(SEED),$(shell date +%s))

STRIDE ?= 1
check-faults: $(FAULTS_BIN)
	$(Q)$(FAULTS_BIN) --stride $(STRIDE)

POINTS ?= 10000
check-crash: $(CRASH_BIN)
	$(Q)$(CRASH_BIN) --points $(POINTS) --seed $(or $(SEED),$(shell date +%s))

T ?= $(wildcard tests/mount/*.sh)
check-mount: all $(POSIX_BIN)
	$(Q)$(TEST_ENV) SEED=$(SEED) tests/lib/check.sh scripts $(T)

# The repositories' S3 tests against Ceph's radosgw, which is installed for it.
check-s3: all unit-bins
	$(Q)command -v radosgw >/dev/null || DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends ceph-mon ceph-osd radosgw
	$(Q)$(TEST_ENV) tests/lib/check.sh scripts tests/mount/repo_s3.sh tests/mount/repo_radosgw.sh

check-pg: all
	$(Q)$(TEST_ENV) LONG=1 tests/lib/check.sh scripts tests/mount/postgres.sh

check-docker: all
	$(Q)$(TEST_ENV) tests/lib/check.sh scripts $(wildcard tests/docker/*.sh)

check-tsan:
	$(Q)$(TEST_ENV) tests/lib/check.sh tsan

check-mount-asan check-mount-tsan check-valgrind: check-%:
	$(Q)$(TEST_ENV) tests/lib/check.sh $*

check-includes:
	$(Q)tests/check_includes.sh

.PHONY: bench bench-reopen demo
# BENCH selects rows (see tests/README.md), ROUNDS how often each is repeated.
BENCH  ?=
ROUNDS ?= 5
bench: all $(BENCH_BINS)
	$(Q)$(TEST_ENV) python3 tests/bench/bench.py --rounds $(ROUNDS) $(if $(BENCH),--only $(BENCH))

.PHONY: bench-backup
# Needs restic, borgbackup, casync and btrfs-progs; BACKUP are its arguments.
BACKUP ?=
bench-backup: all
	$(Q)$(TEST_ENV) python3 tests/bench/backup.py $(BACKUP)

# An open after a crash, of a store that grows: 20 GB of disk below REOPEN_DIR, and minutes.
REOPEN_DIR ?= /var/tmp/varve-reopen
SIZES ?= 1:10000 20:10000 20:1000000
bench-reopen: $(REOPEN_BIN)
	$(Q)rm -rf $(REOPEN_DIR)
	$(Q)$(REOPEN_BIN) $(REOPEN_DIR) $(SIZES); ret=$$?; rm -rf $(REOPEN_DIR); exit $$ret

demo: deps
	$(Q)$(MAKE) --no-print-directory all
	$(Q)tools/demo.sh

BINDIR  := $(DESTDIR)$(PREFIX)/bin
SBINDIR := $(DESTDIR)$(PREFIX)/sbin
MANDIR  := $(DESTDIR)$(PREFIX)/share/man
COMPDIR := $(DESTDIR)$(PREFIX)/share/bash-completion/completions
DOCDIR := $(DESTDIR)$(PREFIX)/share/doc/varve
UNITDIR := $(DESTDIR)$(PREFIX)/lib/systemd/system
# Where the docker command looks for its plugins, for /usr and /usr/local alike.
DOCKERDIR := $(DESTDIR)$(PREFIX)/libexec/docker/cli-plugins

EXAMPLES := $(patsubst docker/examples/%,%,$(wildcard docker/examples/*/*.yml))

.PHONY: install uninstall
install: all
	install -D -m 0755 $(B)/varve $(BINDIR)/varve
	install -D -m 0755 $(B)/varved $(SBINDIR)/varved
	install -d $(MANDIR)/man1 $(MANDIR)/man8 $(UNITDIR)
	for m in $(wildcard tools/man/*.1); do install -m 0644 $$m $(MANDIR)/man1/ || exit 1; done
	for m in $(wildcard tools/man/*.8); do install -m 0644 $$m $(MANDIR)/man8/ || exit 1; done
	install -D -m 0644 tools/completion/varve.bash $(COMPDIR)/varve
	sed 's|@SBINDIR@|$(PREFIX)/sbin|' docker/varved.service > $(UNITDIR)/varved.service
	chmod 0644 $(UNITDIR)/varved.service
	install -m 0644 docker/varved.socket $(UNITDIR)/varved.socket
	install -d $(DOCKERDIR)
	ln -sf ../../../bin/varve $(DOCKERDIR)/docker-varve
	for f in $(EXAMPLES); do install -D -m 0644 docker/examples/$$f $(DOCDIR)/examples/$$f || exit 1; done

uninstall:
	rm -f $(BINDIR)/varve $(SBINDIR)/varved $(COMPDIR)/varve $(UNITDIR)/varved.service $(UNITDIR)/varved.socket
	rm -f $(DOCKERDIR)/docker-varve $(addprefix $(DOCDIR)/examples/,$(EXAMPLES))
	find $(DOCDIR) -depth -type d -empty -delete 2>/dev/null || true
	rm -f $(patsubst tools/man/%,$(MANDIR)/man1/%,$(wildcard tools/man/*.1))
	rm -f $(patsubst tools/man/%,$(MANDIR)/man8/%,$(wildcard tools/man/*.8))

DEB = $(O)/varve_$(VERSION)_$(shell dpkg --print-architecture 2>/dev/null).deb
.PHONY: deb
deb: all
	$(Q)tests/lib/deb.sh $(VERSION) $(B) $(DEB)

.PHONY: clean
clean:
	rm -rf $(O)

-include $(shell test -d $(B) && find $(B) -name '*.d')
.SECONDARY:
