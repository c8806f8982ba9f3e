# Copyright (C) Conduit for nginx authors

# What may be set on the command line:
#   NGINX_SRC=DIR    an nginx source tree instead of Debian's nginx-dev
#   NGINX=FILE       the nginx to load the module into
#   SANITIZE=1       build and test with AddressSanitizer and UBSan
#   RUN_PORT=8080    the port of "make run"
#   FUZZ_TIME=60     seconds per fuzz target
#   BENCH=hubs       only these benchmarks: polls, creates, images, crowd, hubs,
#                    posts, store, redis
#   TESTS="t/a.t"    run these instead of all tests
#   RERUN=2          run up to so many failed files once more, alone
#   PREFIX, DESTDIR  for "make install"

SHELL = /bin/bash

NAME = ngx_http_conduit_module
TOP := $(CURDIR)
BUILD := $(TOP)/build
CC = gcc

NGX_DEV = /usr/share/nginx/src
NGINX_SRC ?= $(NGX_DEV)

OUT := $(BUILD)
SAN =

ifneq ($(filter-out 0,$(SANITIZE)),)
OUT := $(BUILD)/sanitize
SAN = -fsanitize=address,undefined -fno-omit-frame-pointer
endif

OBJS := $(OUT)/objs
MODULE := $(OUT)/$(NAME).so

WARN = -Wall -Wextra -Wshadow -Wvla -Wstrict-prototypes \
       -Wno-unused-parameter -Werror
OPT = $(if $(SAN),-O1,-O2)
CC_OPT = $(OPT) -g $(filter-out -Werror,$(WARN)) $(SAN)

# a tree with nginx's own sources also gives the binary to load the module

TREE := $(if $(wildcard $(NGINX_SRC)/src/core/nginx.c),$(OUT)/tree)

ifeq ($(TREE),)
NGINX ?= /usr/sbin/nginx
else
NGINX ?= $(OBJS)/nginx
endif

SOURCES := $(wildcard src/*.[ch] src/*/*.[ch]) src/$(NAME).map

DEPS_BUILD = gcc make libc6-dev nginx nginx-dev libcurl4-openssl-dev \
    libjansson-dev libmsgpack-dev libhiredis-dev liblmdb-dev libssl-dev \
    zlib1g-dev ca-certificates openssl curl
DEPS_TEST = perl procps iproute2 python3 python3-venv python3-requests ffmpeg gdb \
    strace nodejs clang clang-tools cppcheck prometheus redis-server \
    libnginx-mod-nchan libjson-perl \
    liblist-moreutils-perl libtest-base-perl libtest-longstring-perl \
    libtext-diff-perl liburi-perl libwww-perl \
    chromium maven javac/default-jdk-headless \
    $(if $(shell command -v npm),,npm)

DEPS_BENCH = python3 wrk libnginx-mod-http-lua libnginx-mod-nchan redis-server

.DEFAULT_GOAL := build

.PHONY: deps
deps: ## Install what is needed to build and test (Debian 12)
	@t/lib/deps $(DEPS_BUILD) $(DEPS_TEST)

.PHONY: deps-build
deps-build:
	@t/lib/deps $(DEPS_BUILD)

.PHONY: build
build: $(OUT)/.loads ## Build build/ngx_http_conduit_module.so and load it once

# what was built from another tree, or with another compiler, is built anew

$(OUT)/.source: FORCE
	@mkdir -p $(@D)
	@echo '$(abspath $(NGINX_SRC)) $(NGINX) $(CC)' | cmp -s - $@ || \
	    echo '$(abspath $(NGINX_SRC)) $(NGINX) $(CC)' >$@

.PHONY: FORCE
FORCE:

$(OBJS)/Makefile: config Makefile $(OUT)/.source
	@rm -rf $(OBJS) $(if $(TREE),$(TREE))
	@mkdir -p $(OUT)
ifeq ($(TREE),)
	@test -f $(NGINX_SRC)/conf_flags || { echo "no nginx in $(NGINX_SRC):" \
	    "run \"make deps\" or set NGINX_SRC" >&2; exit 1; }
	cd $(NGINX_SRC) && . ./conf_flags && \
	    ./configure "$${NGX_CONF_FLAGS[@]}" --with-cc=$(CC) \
	    --with-cc-opt='$(CC_OPT)' --with-ld-opt='$(SAN)' \
	    --add-dynamic-module=$(TOP) \
	    --builddir=$(OBJS) >$(OUT)/configure.log || \
	    { tail -4 $(OUT)/configure.log >&2; rm -f $@; exit 1; }
else
	cp -as $(abspath $(NGINX_SRC)) $(TREE)
	cd $(TREE) && rm -rf Makefile objs && \
	    $$(test -x configure && echo ./configure || echo auto/configure) \
	    --with-compat --with-debug --with-threads --with-http_ssl_module \
	    --with-http_v2_module --with-http_stub_status_module \
	    --with-cc=$(CC) --with-cc-opt='$(CC_OPT)' --with-ld-opt='$(SAN)' \
	    --add-dynamic-module=$(TOP) \
	    --builddir=$(OBJS) >$(OUT)/configure.log || \
	    { tail -4 $(OUT)/configure.log >&2; rm -f $@; exit 1; }
	$(MAKE) -s -j $(JOBS) -f $(OBJS)/Makefile -C $(TREE) binary
endif

$(MODULE): $(OBJS)/Makefile $(SOURCES)
	$(MAKE) -s -j $(JOBS) -f $(OBJS)/Makefile \
	    -C $(or $(TREE),$(NGINX_SRC)) modules
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

$(OUT)/nginx: Makefile $(OUT)/.source
ifeq ($(SAN),)
	@printf '%s\n' '#!/bin/sh' 'exec $(NGINX) "$$@"' >$@
else
	@printf '%s\n' '#!/bin/sh' \
	    'LD_PRELOAD="$(shell $(CC) -print-file-name=libasan.so) $$LD_PRELOAD"' \
	    'ASAN_OPTIONS=detect_leaks=0:abort_on_error=1' \
	    'UBSAN_OPTIONS=print_stacktrace=1' \
	    'export LD_PRELOAD ASAN_OPTIONS UBSAN_OPTIONS' \
	    'exec $(NGINX) "$$@"' >$@
endif
	@chmod +x $@

# the adapters of src/event under a test's directives; nothing to install

PROBE := $(OUT)/ngx_http_conduit_probe_module.so
PROBE_OBJS := $(OUT)/probe

.PHONY: probe
probe: $(if $(TREE),,$(PROBE))

$(PROBE_OBJS)/Makefile: t/event/config Makefile $(OUT)/.source
	@mkdir -p $(OUT)
	cd $(NGINX_SRC) && . ./conf_flags && \
	    ./configure "$${NGX_CONF_FLAGS[@]}" --with-cc=$(CC) \
	    --with-cc-opt='$(CC_OPT)' --with-ld-opt='$(SAN)' \
	    --add-dynamic-module=$(TOP)/t/event \
	    --builddir=$(PROBE_OBJS) >$(OUT)/configure-probe.log

$(PROBE): $(PROBE_OBJS)/Makefile $(wildcard t/event/*.c src/event/*.[ch])
	$(MAKE) -s -j $(JOBS) -f $(PROBE_OBJS)/Makefile -C $(NGINX_SRC) modules
	@cp $(PROBE_OBJS)/$(@F) $@.new && mv $@.new $@

# the module with hubs that send back what they get, for test suites of
# WebSocket: its own objects, a few functions wrapped

ECHO := $(OUT)/echo/$(NAME).so
ECHO_WRAP = $(addprefix -Wl$(comma)--wrap=,conduit_ws_init conduit_ws_read \
    ngx_http_conduit_hub_input)
comma = ,

.PHONY: echo
echo: $(ECHO)

$(ECHO): t/echo/conduit_echo.c $(MODULE)
	@mkdir -p $(@D)
	$(CC) -fPIC $(CC_OPT) -Werror $(INCS) $(NGX_INCS) -c -o $(@D)/echo.o $<
	@$(CC) $(SAN) -o $@ $(@D)/echo.o $(ECHO_WRAP) \
	    $$(sed -n '/LINK.*$(NAME).so/,/^$$/p' $(OBJS)/Makefile | \
	    sed '1d;s/\\$$//')

# nginx on conf.example, everything it writes under build/run

RUN := $(BUILD)/run
RUN_PORT ?= 8080

.PHONY: run
run: deps-build ## Build, start nginx on conf.example, print what to try
	@$(MAKE) -s SANITIZE= build
	@t/lib/run $(RUN) $(BUILD) $(RUN_PORT)

# unit programs and replays of the fuzz corpora print TAP; both link src/proto
# and nothing of nginx; some targets compare with what libcurl makes of a text

# msgpack-c is called otherwise since its version 6

MSGPACK := $(if $(filter /%,$(shell $(CC) -print-file-name=libmsgpack-c.so)),\
    -lmsgpack-c,-lmsgpackc)

PROTO := $(wildcard src/proto/*.c)
PROTO_OBJS := $(PROTO:src/proto/%.c=$(OUT)/proto/%.o)
PROTO_DEPS := $(wildcard src/proto/*.h t/unit/*.h)
PROTO_LIBS = -ljansson $(MSGPACK) -lcrypto -lz -lm
FUZZ_LIBS = $(PROTO_LIBS) -lcurl
UNITS := $(patsubst t/unit/%.c,$(OUT)/unit/%,$(wildcard t/unit/test_*.c))
FUZZERS := $(patsubst t/fuzz/fuzz_%.c,%,$(wildcard t/fuzz/fuzz_*.c))
REPLAYS := $(FUZZERS:%=$(OUT)/fuzz/replay_%)
UNIT_OPT = -std=gnu99 -O1 -g $(WARN) $(SAN) -I src/proto -I t/unit

.SECONDARY: $(PROTO_OBJS)

$(OUT)/proto/%.o: src/proto/%.c $(PROTO_DEPS) Makefile
	@mkdir -p $(@D)
	$(CC) $(UNIT_OPT) -c -o $@ $<

$(OUT)/unit/%: t/unit/%.c $(PROTO_OBJS) $(PROTO_DEPS)
	@mkdir -p $(@D)
	$(CC) $(UNIT_OPT) -o $@ $< $(PROTO_OBJS) $(PROTO_LIBS)

$(OUT)/fuzz/replay_%: t/fuzz/fuzz_%.c t/fuzz/replay.c $(PROTO_OBJS) \
		$(PROTO_DEPS)
	@mkdir -p $(@D)
	$(CC) $(UNIT_OPT) -DCORPUS='"t/fuzz/corpus/$*"' -o $@ $< \
	    t/fuzz/replay.c $(PROTO_OBJS) $(FUZZ_LIBS)

# clients by the thousand, for tests and benchmarks, and what to compare with

BENCHES := $(patsubst t/bench/%.c,$(OUT)/bench/%,$(wildcard t/bench/*.c))

$(OUT)/bench/%: t/bench/%.c Makefile
	@mkdir -p $(@D)
	$(CC) -std=gnu99 -O2 -g $(WARN) -o $@ $< $(BENCH_LIBS)

$(OUT)/bench/poster: BENCH_LIBS = -lcurl

FUZZ_OPT = -std=gnu99 -O1 -g -fsanitize=address,undefined -I src/proto
FUZZ_OBJS := $(PROTO:src/proto/%.c=$(BUILD)/fuzz/proto/%.o)

.SECONDARY: $(FUZZ_OBJS)

$(BUILD)/fuzz/proto/%.o: src/proto/%.c $(PROTO_DEPS) Makefile
	@mkdir -p $(@D)
	@clang $(FUZZ_OPT) -fsanitize=fuzzer-no-link -c -o $@ $<

$(BUILD)/fuzz/%: t/fuzz/fuzz_%.c $(FUZZ_OBJS)
	@mkdir -p $(@D)
	@clang $(FUZZ_OPT) -fsanitize=fuzzer -o $@ $< $(FUZZ_OBJS) $(FUZZ_LIBS)

# Test::Nginx is no package of Debian 12; what is installed comes first

PERL5 := $(BUILD)/test-nginx
TEST_NGINX = perl -MTest::Nginx::Socket -e1 2>/dev/null
JOBS ?= 5

# what takes long comes first, what is short fills the gaps at the end

TESTS ?= $(wildcard t/style.t t/docs.t) $(sort $(wildcard t/harness/*.t)) \
    $(filter-out t/style.t t/docs.t,$(sort $(wildcard t/*.t))) \
    $(UNITS) $(REPLAYS)

export CONDUIT_BUILD = $(OUT)
export PERL5LIB := $(TOP)/t/lib:$(PERL5)/usr/share/perl5:$(PERL5LIB)
export PYTHONDONTWRITEBYTECODE = 1
export TEST_NGINX_BINARY = $(OUT)/nginx

.PHONY: test
test: deps ## Run all tests (with SANITIZE=1 under ASan and UBSan)
	@$(MAKE) -s build probe echo units test-nginx
	@rm -rf $(OUT)/test
	t/lib/prove -j $(JOBS) $(TESTS)

.PHONY: units
units: $(UNITS) $(REPLAYS) $(BENCHES)

.PHONY: test-nginx
test-nginx:
	@$(TEST_NGINX) || \
	    t/lib/newer-deb $(PERL5) libtest-nginx-perl trixie forky sid || \
	    { echo "Test::Nginx is missing: cpanm Test::Nginx" >&2; exit 1; }

.PHONY: unittest
unittest: units ## Run the unit programs and replay the fuzz corpora
	prove $(UNITS) $(REPLAYS)

FUZZ_TIME ?= 60

.PHONY: fuzz
fuzz: $(FUZZERS:%=$(BUILD)/fuzz/%) ## Fuzz each target for FUZZ_TIME seconds
	@set -e; for name in $(FUZZERS); do \
	    echo "fuzzing $$name for $(FUZZ_TIME)s"; \
	    mkdir -p $(BUILD)/fuzz/found/$$name t/fuzz/corpus/$$name; \
	    $(BUILD)/fuzz/$$name -max_total_time=$(FUZZ_TIME) -timeout=10 \
	        -verbosity=0 -print_final_stats=1 \
	        -artifact_prefix=$(BUILD)/fuzz/ \
	        $(BUILD)/fuzz/found/$$name t/fuzz/corpus/$$name; \
	done

.PHONY: bench
bench: ## Print the benchmarks and their bars
	@t/lib/deps $(DEPS_BUILD) $(DEPS_BENCH)
	@$(MAKE) -s build $(BENCHES)
	t/bench/run $(BENCH)

# what the compilers and analyzers say, all of it as errors

NGX_INCS = $(addprefix -isystem $(or $(TREE),$(NGINX_SRC))/src/,core event \
    event/modules event/quic os/unix http http/modules http/v2) \
    -isystem $(OBJS)
INCS = $(addprefix -I ,$(sort $(dir $(wildcard src/*.h src/*/*.h))))

CODE := $(wildcard src/*.c src/*/*.c)
CHECKED := $(CODE:src/%.c=$(OUT)/check/%.ok)

$(OUT)/check/%.ok: src/%.c $(SOURCES) $(OBJS)/Makefile
	@mkdir -p $(@D)
	@clang -O1 $(WARN) $(INCS) $(NGX_INCS) -fsyntax-only $<
	@out=$$(clang --analyze --analyzer-output text $(INCS) $(NGX_INCS) \
	    -o /dev/null $< 2>&1) && test -z "$$out" || \
	    { echo "$$out"; exit 1; }
	@touch $@

.PHONY: check
check: build ## Warnings as errors, clang analyzer, cppcheck, style, compat
	$(MAKE) -s -j $(JOBS) analyze
	$(MAKE) -s compat
	prove t/style.t

.PHONY: analyze
analyze: $(CHECKED) units
	cppcheck --quiet --error-exitcode=1 --inline-suppr -j $(JOBS) \
	    --enable=warning,performance,portability --std=c99 \
	    --suppress=missingInclude --suppress=unknownMacro \
	    $(INCS) src

# compiles (and does not load) against the headers of newer nginx

COMPAT := $(BUILD)/compat

.PHONY: compat
compat: ## Compile against the nginx of newer Debian suites
	@t/lib/compat $(COMPAT) trixie
	@t/lib/compat $(COMPAT) forky sid

PREFIX ?= /usr
MODULES = $(DESTDIR)$(PREFIX)/lib/nginx/modules
DOCS = $(DESTDIR)$(PREFIX)/share/doc/$(NAME)

.PHONY: install
install: build ## Install the module (PREFIX=/usr, DESTDIR)
	install -d $(MODULES) $(DOCS)
	install -m 644 $(MODULE) $(MODULES)
	install -m 644 README.md conf.example LICENSE $(DOCS)

.PHONY: clean
clean: ## Stop what "make run" has started, remove all that was built
	@t/lib/stop $(RUN)
	rm -rf $(BUILD)

.PHONY: help
help: ## Show this list
	@grep -hE '^[a-z]+:.*## ' Makefile | sed 's/:.*## /:/' | \
	    awk -F: '{ printf "  %-10s %s\n", $$1, $$2 }'
