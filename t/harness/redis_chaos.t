#!/bin/sh

# Copyright (C) Conduit for nginx authors

# a short form of t/chaos/run; CHAOS_SEED changes it

exec "$(dirname "$0")/../chaos/run" --short --seed "${CHAOS_SEED:-7}" --rate 3
