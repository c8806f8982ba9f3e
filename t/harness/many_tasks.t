#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# 100 000 live tasks in 256 MB: all are there, and nothing gets slow.

import os
import random
import sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from conduit_api import *

HELD = GPU.replace('lease 1s', 'lease 600s')

N = 20000 if SANITIZE else 100000
BATCH = 50

# the example of the guide

TASK = {'model': 'gpu-image', 'prompt': 'A beautiful sunset',
        'webhook_metadata': {'user_id': '12345',
                             'session_id': 'abc-def-ghi'}}


def create(api, number):
    """Pipelined creates on one connection; the ids."""

    ids = []

    with api.alice.connect(60) as c:
        data = api.alice.encode('POST', IMAGES + '/async', TASK) * BATCH
        for _ in range(number // BATCH):
            c.send(data)
            for _ in range(BATCH):
                r = c.read_response('POST')
                if r.status != 202:
                    raise AssertionError(repr(r))
                ids.append(r.body[12:48].decode())

    return ids


def poll_time(api, ids):
    """CPU seconds of the workers per poll."""

    pids = api.workers()
    begin = sum(map(cpu, pids))

    with api.alice.connect() as c:
        for i in range(0, len(ids), BATCH):
            some = ids[i:i + BATCH]
            c.send(b''.join(api.alice.encode('GET', '%s/%s' % (IMAGES, x))
                            for x in some))
            for x in some:
                r = c.read_response()
                if r.status != 200 or x not in r.text:
                    raise AssertionError('%s: %r' % (x, r))

    return (sum(map(cpu, pids)) - begin) / len(ids)


def test_many(t):
    rng = random.Random(1)

    with Api(t, workers=2, zone='conduit:256m', gpu=HELD, sandbox='', http='''
             conduit_task_limit per_key=200000 total=200000;
             ''') as api:
        free = api.metric('conduit_zone_free_bytes')
        first = create(api, 500)
        sample = [rng.choice(first) for _ in range(20000)]
        before = poll_time(api, sample)
        rss_before = max(map(rss, api.workers()))

        begin = time.monotonic()
        ids = first + create(api, N - 500)
        t.diag('%d creates in %.1f s' % (N, time.monotonic() - begin))
        t.eq(len(set(ids)), N, 'all are created')
        used = (free - api.metric('conduit_zone_free_bytes')) / N
        t.between(used, 100, 2560, 'zone bytes per task')
        t.diag('%d bytes per task' % used)

        sample = rng.sample(ids, 20000)
        after = poll_time(api, sample)
        t.ok(True, 'a sample of them is there')
        t.ok(after <= before * 3 + 2e-5, 'polls are as quick as before') \
            or t.diag('%.1f us, then %.1f us' % (before * 1e6, after * 1e6))

        t.eq(api.metric('conduit_tasks', status='pending'), N,
             'the metric of pending tasks')
        check_list(t, api, ids)

        begin = time.monotonic()
        claims = [api.robot.worker('claim', {}) for _ in range(50)]
        t.eq([r['task_id'] for r in claims], ids[:50],
             'claimed in order of arrival')
        for task in rng.sample(ids[50:], 50):
            api.alice.cancel(task)
        t.between(time.monotonic() - begin, 0, 3 * BUSY,
                  'claims and cancels stay quick')

        d = api.alice.document(ids[-1])
        t.between(d['queue_position'], N - 110, N - 50,
                  'queue_position of the last')
        rss_after = max(map(rss, api.workers()))
        zone = 256 << 20
        t.ok(SANITIZE or rss_after - rss_before < zone + (32 << 20),
             'workers do not grow beyond the zone')

        begin = time.monotonic()
        api.reload()
        t.eq(api.alice.status(ids[N // 2]).status, 200, 'over a reload')
        t.between(time.monotonic() - begin, 0, 5 * BUSY, 'which is quick')


def check_list(t, api, ids):
    begin = time.monotonic()
    r = api.alice.list(limit=100)
    t.eq([d['task_id'] for d in r['data']], ids[:-101:-1],
         'the newest 100')
    middle = ids[len(ids) // 2]
    r = api.alice.list(limit=100, after=middle, order='asc')
    at = len(ids) // 2
    t.eq([d['task_id'] for d in r['data']], ids[at + 1:at + 101],
         '100 in the middle')
    r = api.alice.list(limit=100, status='completed')
    t.eq(r['data'], [], 'a filter that nothing fits')
    t.between(time.monotonic() - begin, 0, 2 * BUSY, 'lists are quick')


run(test_many)
