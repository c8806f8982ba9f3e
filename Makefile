# Copyright (C) Conduit for nginx authors

# What may be set on the command line:
#   NGX_SRC=DIR      an nginx source tree instead of Debian's nginx-dev
#   NGINX=FILE       the nginx to load the module into
#   SANITIZE=1       build and test with AddressSanitizer and UBSan
#   RUN_PORT=8080    the port of "make run"
#   FUZZ_TIME=60     seconds per fuzz target
#   TESTS="t/a.t"    run these instead of all tests
#   PREFIX, DESTDIR  for "make install"

SHELL = /bin/bash

NAME = ngx_http_conduit_module
TOP := $(CURDIR)
BUILD := $(TOP)/build
CC = gcc

NGX_DEV = /usr/share/nginx/src
NGX_SRC ?= $(NGX_DEV)

OUT := $(BUILD)
SAN =

ifneq ($(filter-out 0,$(SANITIZE)),)
OUT := $(BUILD)/sanitize
SAN = -fsanitize=address,undefined -fno-omit-frame-pointer
endif

ifneq ($(NGX_SRC),$(NGX_DEV))
OUT := $(OUT)/$(notdir $(abspath $(NGX_SRC)))
endif

OBJS := $(OUT)/objs
MODULE := $(OUT)/$(NAME).so

WARN = -Wall -Wextra -Wshadow -Wvla -Wstrict-prototypes \
       -Wno-unused-parameter -Werror
CC_OPT = -O2 -g $(filter-out -Werror,$(WARN)) $(SAN)

# a tree with nginx's own sources also gives the binary to load the module

TREE := $(if $(wildcard $(NGX_SRC)/src/core/nginx.c),$(OUT)/tree)

ifeq ($(TREE),)
NGINX ?= /usr/sbin/nginx
else
NGINX ?= $(OBJS)/nginx
endif

SOURCES := $(wildcard src/*.[ch] src/*/*.[ch]) src/$(NAME).map

DEPS_BUILD = gcc make libc6-dev nginx nginx-dev libcurl4-openssl-dev \
    libjansson-dev libhiredis-dev libssl-dev zlib1g-dev curl
DEPS_TEST = perl python3 openssl libtest-base-perl libtext-diff-perl \
    liblist-moreutils-perl libwww-perl liburi-perl libjson-perl clang \
    clang-tools cppcheck prometheus libnginx-mod-nchan

.DEFAULT_GOAL := build

.PHONY: deps
deps: ## Install what is needed to build and test (Debian 12)
	@t/lib/deps $(DEPS_BUILD) $(DEPS_TEST)

.PHONY: deps-build
deps-build:
	@t/lib/deps $(DEPS_BUILD)

.PHONY: build
build: $(OUT)/.loads ## Build build/ngx_http_conduit_module.so and load it once

$(OBJS)/Makefile: config Makefile
	@rm -rf $(OBJS) $(if $(TREE),$(TREE))
	@mkdir -p $(OUT)
ifeq ($(TREE),)
	@test -f $(NGX_SRC)/conf_flags || { echo "no nginx in $(NGX_SRC):" \
	    "run \"make deps\" or set NGX_SRC" >&2; exit 1; }
	cd $(NGX_SRC) && . ./conf_flags && \
	    ./configure "$${NGX_CONF_FLAGS[@]}" --with-cc=$(CC) \
	    --with-cc-opt='$(CC_OPT)' --add-dynamic-module=$(TOP) \
	    --builddir=$(OBJS) >$(OUT)/configure.log || \
	    { tail -4 $(OUT)/configure.log >&2; rm -f $@; exit 1; }
else
	cp -as $(abspath $(NGX_SRC)) $(TREE)
	cd $(TREE) && rm -rf Makefile objs && \
	    $$(test -x configure && echo ./configure || echo auto/configure) \
	    --with-compat --with-debug --with-threads --with-http_ssl_module \
	    --with-http_v2_module --with-http_stub_status_module \
	    --with-cc=$(CC) --with-cc-opt='$(CC_OPT)' \
	    --add-dynamic-module=$(TOP) \
	    --builddir=$(OBJS) >$(OUT)/configure.log || \
	    { tail -4 $(OUT)/configure.log >&2; rm -f $@; exit 1; }
	$(MAKE) -s -f $(OBJS)/Makefile -C $(TREE) binary
endif

$(MODULE): $(OBJS)/Makefile $(SOURCES)
	$(MAKE) -s -f $(OBJS)/Makefile -C $(or $(TREE),$(NGX_SRC)) modules
	@cp $(OBJS)/$(NAME).so $@.new && mv $@.new $@

# undefined symbols show only when the module is loaded, so a build loads it

$(OUT)/.loads: $(MODULE) $(OUT)/nginx
	@mkdir -p $(OUT)/load/logs
	@printf '%s\n' 'load_module $(MODULE);' 'pid load.pid;' \
	    'events { }' 'http {' '    client_body_temp_path body;' \
	    '    proxy_temp_path proxy;' '    fastcgi_temp_path fastcgi;' \
	    '    uwsgi_temp_path uwsgi;' '    scgi_temp_path scgi;' \
	    '    access_log off;' '}' >$(OUT)/load/nginx.conf
	$(OUT)/nginx -t -p $(OUT)/load/ -c nginx.conf -e stderr
	@touch $@

# the nginx that runs and tests start: the plain one, or one with the
# sanitizer's library in front of everything

$(OUT)/nginx: Makefile
	@mkdir -p $(OUT)
ifeq ($(SAN),)
	@printf '%s\n' '#!/bin/sh' 'exec $(NGINX) "$$@"' >$@
else
	@printf '%s\n' '#!/bin/sh' \
	    'LD_PRELOAD=$(shell $(CC) -print-file-name=libasan.so)' \
	    'ASAN_OPTIONS=detect_leaks=0:abort_on_error=1:disable_coredump=0' \
	    'UBSAN_OPTIONS=print_stacktrace=1' \
	    'export LD_PRELOAD ASAN_OPTIONS UBSAN_OPTIONS' \
	    'exec $(NGINX) "$$@"' >$@
endif
	@chmod +x $@

.PHONY: clean
clean: ## Remove everything that was built
	rm -rf $(BUILD)

.PHONY: help
help: ## Show this list
	@grep -hE '^[a-z]+:.*## ' Makefile | sed 's/:.*## /:/' | \
	    awk -F: '{ printf "  %-10s %s\n", $$1, $$2 }'
