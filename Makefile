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

VERSION  := 0.1.0
comma    := ,
VARIANT  := $(if $(SANITIZE),-$(subst $(comma),-,$(SANITIZE)))$(if $(filter 1,$(COVERAGE)),-coverage)
B        := $(O)/out$(VARIANT)
Q        := $(if $(filter 1,$(V)),,@)

PKGS_store := sqlite3 libxxhash libzstd
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
STORE_MODULES := maint volume meta journal chunk base
STORE_LIBS    := $(STORE_MODULES:%=$(B)/lib%.a)
STORE_LDLIBS   = $(shell pkg-config --libs $(PKGS_store))

objs = $(patsubst %.c,$(B)/%.o,$(1))
FS_OBJS    := $(call objs,$(wildcard fs/*.c docker/*.c))
TOOLS_OBJS := $(call objs,$(wildcard tools/*.c))
TLIB_OBJS  := $(call objs,$(wildcard tests/lib/*.c))

UNIT_SRCS  := $(wildcard tests/unit/*/test_*.c)
UNIT_BINS  := $(patsubst %.c,$(B)/%,$(UNIT_SRCS))
MODEL_BIN  := $(B)/tests/model/model

.PHONY: all
all: $(B)/varved $(B)/varve

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
define unit_rule
$(B)/tests/unit/$(1)/%: $(B)/tests/unit/$(1)/%.o $(TLIB_OBJS) $(unit_libs_$(1):%=$(B)/lib%.a)
	@$(if $(Q),echo "  LINK    $$@")
	$(Q)$(CC) $(LDFLAGS) -o $$@ $$^ $$(STORE_LDLIBS) $$(shell pkg-config --libs cmocka)
endef
$(foreach m,$(STORE_MODULES),$(eval $(call unit_rule,$(m))))

.PHONY: unit-%
# `make unit-chunk` builds and runs the unit tests of one module.
unit-%:
	$(Q)$(MAKE) --no-print-directory $(patsubst %.c,$(B)/%,$(wildcard tests/unit/$*/test_*.c))
	$(Q)for t in $(patsubst %.c,$(B)/%,$(wildcard tests/unit/$*/test_*.c)); do $$t || exit 1; done

-include $(shell test -d $(B) && find $(B) -name '*.d')
.SECONDARY:
