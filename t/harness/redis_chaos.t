#!/bin/sh

# Copyright (C) Conduit for nginx authors

# a short form of t/chaos/run; CHAOS_SECONDS and CHAOS_SEED change it

exec "$(dirname "$0")/../chaos/run" --seconds "${CHAOS_SECONDS:-15}" \
    --seed "${CHAOS_SEED:-7}" --longest 2 --rate 4
