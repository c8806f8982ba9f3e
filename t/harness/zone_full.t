#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# A full zone: 503 and Retry-After, live tasks are untouched, and the space
# comes back when finished tasks leave.

import os
import sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from conduit_api import *

HELD = GPU.replace('lease 1s', 'lease 60s')


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
    with Api(t, workers=workers, zone='conduit:' + size, gpu=HELD,
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

    with Api(t, zone='conduit:2m', gpu=HELD, sandbox='') as api:
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


def test_growth(t):
    """A change that finds no room is made when there is room again."""

    with Api(t, zone='conduit:1m', gpu=HELD,
             http='conduit_task_ttl 1s;\n'
             'conduit_task_limit per_key=100000 total=100000;') as api:

        def create(kind, prompt, n):
            return api.alice.image(prompt, kind, webhook_metadata={
                'm': 'x' * (n * 8 % 256)})['task_id']

        # some of the documents of each kind take one more piece at the start

        sand = [create('sandbox-image', 'sandbox:duration=5s', n)
                for n in range(32)]
        ids = []

        while True:
            task = create('gpu-image', 'x', len(ids))
            if task is None:
                break
            ids.append(task)

        leased = []

        while True:
            task = api.robot.worker('claim', {})['task_id']
            if task is None:
                break
            leased.append(task)
            api.robot.worker('tasks/%s/progress' % task, {
                'progress': 1, 'message': 'm' * 500})

        t.ok(leased and len(leased) < len(ids), 'no room for a start')
        leases = api.robot.worker('tasks/%s/progress' % leased[0], {
            'progress': 2, 'message': 'm' * 400})
        time.sleep(1.2)
        t.eq((leases.status, api.alice.status(leased[-1])['status']),
             (200, 'processing'), 'no lease has become shorter')

        rest = set(ids) - set(leased)
        parallel(api.alice.cancel, leased, 8)

        def claim():
            task = api.robot.worker('claim', {'wait': 1})['task_id']
            if task:
                rest.discard(task)
                api.alice.cancel(task)
            return not rest

        try:
            wait_for(claim, 30, 'the claims of all')
        except TimeoutError:
            pass

        t.eq(len(rest), 0, 'and all can be claimed when there is room')
        ends = {api.alice.wait(task)['status'] for task in sand
                if api.alice.status(task).status == 200}
        t.eq(ends - {'completed'}, set(), 'the sandbox has gone on')


run(test_small_tasks, test_large_tasks, test_results, test_growth)
