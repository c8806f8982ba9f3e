#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# A full zone: 503 and Retry-After, live tasks are untouched, and the space
# comes back when finished tasks leave.

import os
import sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from conduit_api import *


def fill(api, text):
    """Creates until the zone is full: (ids, the refusal)."""

    ids = []

    with api.alice.connect() as c:
        while True:
            r = c.request('POST', IMAGES + '/async', None, {
                'model': 'gpu-image', 'prompt': text}, api.alice.key)
            if r.status != 202:
                return ids, r
            ids.append(r['task_id'])
            if len(ids) > 20000:
                raise AssertionError('the zone is never full')


def free(api):
    return api.metric('conduit_zone_free_bytes')


def empty(api, ids):
    parallel(api.alice.cancel, ids, 8)
    wait_for(lambda: api.alice.list()['data'] == [], 20,
             'the end of finished tasks')


def check(t, workers, size, text, rounds):
    with Api(t, workers=workers, zone='conduit:' + size, gpu=GPU,
             sandbox='', http='conduit_task_ttl 1s;\n'
             'conduit_task_limit per_key=100000 total=100000;') as api:
        start = free(api)
        numbers = []

        for i in range(rounds):
            ids, r = fill(api, text)
            numbers.append(len(ids))
            t.eq((r.status, r.error(), r.error('type')),
                 (503, 'zone_full', 'server_error'), 'a full zone')
            t.ok(int(r.header('retry-after') or 0) >= 1
                 and int(r.header('retry-after-ms') or 0) >= 1,
                 'with Retry-After')
            states = {api.alice.document(task)['status']
                      for task in ids[::max(1, len(ids) // 200)]}
            t.eq(states, {'pending'}, 'live tasks are untouched')
            claim = api.robot.worker('claim', {})
            t.eq((claim.status, claim['task_id']), (200, ids[0]),
                 'and can go on')
            d = api.robot.worker('tasks/%s/complete' % ids[0], {
                'data': [{'url': 'https://example.com/a.png'}]})
            t.eq(d.status, 200, 'to their end')
            empty(api, ids[1:])

        t.ok(min(numbers) >= max(numbers) * 0.95,
             'each time as many fit') or t.diag(numbers)
        t.ok(free(api) >= start * 0.95, 'no space is lost') or t.diag(
            (start, free(api)))
        log = api.error_log()
        t.ok(log.count('no memory') < 20 * rounds,
             'the log is not flooded')


def test_small_tasks(t):
    check(t, 2, '2m', 'a small prompt', 3)


def test_large_tasks(t):
    check(t, 1, '4m', 'x' * 30000, 3)


def test_results(t):
    """Results that do not fit fail their task, and nothing else."""

    with Api(t, zone='conduit:2m', gpu=GPU, sandbox='') as api:
        ids = [api.alice.image('r', 'gpu-image')['task_id']
               for _ in range(4)]
        api.robot.worker('claim', {})
        r = api.robot.worker('tasks/%s/complete' % ids[0], {
            'data': [{'b64_json': 'QUJD' * 700000}]})
        t.ok(r.status in (413, 503), 'a result that does not fit')
        t.eq({api.alice.document(task)['status'] for task in ids[1:]},
             {'pending'}, 'others are untouched')
        api.robot.worker('claim', {})
        r = api.robot.worker('tasks/%s/complete' % ids[1], {
            'data': [{'b64_json': 'QUJD' * 70000}]})
        t.eq(r.status, 200, 'one that fits')
        d = api.alice.document(ids[1])
        t.eq(d['result']['data'][0]['b64_json'], 'QUJD' * 70000,
             'is kept whole')


run(test_small_tasks, test_large_tasks, test_results)
