#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# The module through start, reload, a killed worker, and quit.

import os
import sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from conduit_harness import *

HTTP = '''
    server {
        listen 127.0.0.1:%%PORT%%;

        location / {
            return 200 "served by $pid";
        }
    }
'''


def worker_of(ng):
    return int(ng.get('/').text.split()[-1])


def test_life(t):
    with Nginx(t, HTTP, workers=2) as ng:
        first = ng.workers()
        t.eq(len(first), 2, 'two workers')
        t.ok(worker_of(ng) in first, 'one of them answers')

        ng.reload()
        second = ng.workers()
        t.eq(len(second), 2, 'two workers after a reload')
        t.ok(worker_of(ng) in second, 'new workers answer')

        wait_for(lambda: not ng.old_workers(), what='old workers\' end')

        killed = ng.kill_worker()
        t.ok(killed not in ng.workers(), 'the killed worker is gone')
        t.eq(ng.get('/').status, 200, 'others answer')

        t.eq(ng.quit(), 0, 'quits')


run(test_life)
