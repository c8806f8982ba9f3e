# Copyright (C) Conduit for nginx authors

"""Benchmarks of the embedded store: creates with it, flushed to the disk,
beside creates without, by 64 connections; and polls of a task that has ended
with it and without.  Two instances, interleaved; the disk and what flushes
cost are those of the machine, so a bare flush is measured as well.
"""

import hashlib
import os
import re
import statistics
import subprocess
import time

from conduit_harness import *

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'send.lua')

ROUNDS = int(os.environ.get('BENCH_STORE_ROUNDS', 7))
SECONDS = int(os.environ.get('BENCH_SECONDS', 1))
CONNECTIONS = 64

KEY = 'condt_bench0000'
IMAGES = '/v1/images/generations'
BODY = '{"model":"mine","prompt":"a lighthouse at dusk","size":"1024x1024"}'

HTTP = '''
    access_log off;
    keepalive_requests 100000000;

    conduit_zone conduit:1024m;
    conduit_store %s;
    conduit_rate off;
    conduit_task_limit per_key=100000000 total=100000000;
    conduit_key bench { secret sha256:%s; worker on; }
    conduit_provider mine { type worker; lease 1h; }
    conduit_model mine provider=mine;

    server {
        listen 127.0.0.1:%%%%PORT%%%% backlog=8192;

        location /v1/images/generations { conduit_generations image; }
        location /conduit/worker/ { conduit_worker; }
        location = /metrics { conduit_metrics; }
    }
'''


def start(t, store):
    digest = hashlib.sha256(KEY.encode()).hexdigest()

    return Nginx(t, HTTP % (store, digest), workers=1, connections=4096,
                 level='warn')


def rate(ng, name, line, connections=CONNECTIONS):
    """Requests in a second, and CPU seconds of the worker for one."""

    path = ng.write('%s.requests' % name, line + '\n')
    worker = ng.workers()[0]
    before = cpu(worker)
    begun = time.monotonic()
    p = subprocess.run(['wrk', '-t1', '-c%d' % connections,
                        '-d%ds' % SECONDS, '--timeout', '10s', '-s', SCRIPT,
                        'http://127.0.0.1:%d' % ng.port(), '--', path],
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       check=True)
    seconds = time.monotonic() - begun
    m = re.search(r'requests (\d+) errors 0 0 ', p.stdout.decode())

    if not m:
        raise RuntimeError('%s: %s' % (name, p.stdout.decode()))

    n = int(m.group(1))

    return n / seconds, (cpu(worker) - before) / n


def line(method, path, body='-'):
    return '\t'.join((method, path, KEY, '-', body))


def ended(ng):
    """The path of a task that a worker has completed."""

    task = ng.request('POST', IMAGES + '/async', body=BODY,
                      key=KEY).json()['task_id']
    r = ng.request('POST', '/conduit/worker/claim', body='{}', key=KEY)
    ng.request('POST', '/conduit/worker/tasks/%s/complete'
               % r.json()['task_id'],
               body='{"data":[{"url":"http://127.0.0.1/x.png"}]}', key=KEY)

    return '%s/%s' % (IMAGES, task)


def flush(folder):
    """Milliseconds of a small write and its flush."""

    path = os.path.join(folder, 'flush')
    times = []

    with open(path, 'wb') as f:
        for i in range(100):
            f.write(b'x' * 4096)
            begun = time.monotonic()
            f.flush()
            os.fdatasync(f.fileno())
            times.append(time.monotonic() - begun)

    os.unlink(path)

    return statistics.median(times) * 1000


def store(t, bars):
    with start(t, 'off') as off, start(t, '%%DIR%%/store max_size=8g') as on:
        create = line('POST', IMAGES + '/async', BODY)
        polls = [line('GET', ended(ng)) for ng in (off, on)]
        made = []
        asked = []

        for i in range(ROUNDS):
            made.append([rate(ng, 'create', create) for ng in (off, on)])
            asked.append([rate(ng, 'poll', polls[j])
                          for j, ng in enumerate((off, on))])

        m = on.get('/metrics').text
        writes, commits = [float(re.search(r'^conduit_store_%s_total (\S+)$'
                                           % name, m, re.M).group(1))
                           for name in ('writes', 'commits')]

        bars.row('a flush of the disk', '%.2f ms' % flush(on.folder))
        bars.row('creates without a store', '%.0f /s' % statistics.median(
            a[0] for a, b in made))
        bars.row('creates with the embedded store',
                 '%.0f /s' % statistics.median(b[0] for a, b in made))
        bars.row('tasks in one transaction', '%.1f' % (writes / commits))
        part = statistics.median(b[0] / a[0] for a, b in made)
        bars.row('creates with the store, to those without',
                 '%.0f %%' % (part * 100), 'at least 30 %', part >= 0.3)
        part = statistics.median(b[1] / a[1] for a, b in asked)
        bars.ratio('CPU of a poll with the store, to one without', part,
                   1.05, noise=0.05)
