#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# Cancel against completion: one of them wins, for ever.

import os
import random
import sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from conduit_api import *


def limit(text):
    return text.replace('conduit_provider videos_compat {',
                        'conduit_provider videos_compat {\n'
                        '    limit concurrency=8;')


def settle(api, pairs):
    """Checks cancel replies against documents: (bad ones, cancelled)."""

    bad, cancelled = [], 0

    for task, reply in pairs:
        d = api.alice.wait(task)
        again = api.alice.document(task)
        won = reply.status == 200
        cancelled += won
        good = ((won and d['status'] == 'cancelled')
                or (reply.status == 409 and d['status'] == 'completed'
                    and reply.error() == 'task_terminal'))
        if not good or again != d:
            bad.append((reply.status, d['status'], again['status']))

    return bad, cancelled


def sandbox_rounds(t, api, rng):
    def one(pause):
        task = api.alice.image('sandbox:duration=60ms',
                               size='16x16')['task_id']
        time.sleep(pause)
        return task, api.alice.cancel(task)

    # how long a picture takes depends on the machine

    bad, cancelled, n, longest = [], 0, 0, 0.12

    while n < 120 or not 0 < cancelled < n:
        pauses = [rng.uniform(0, longest) for _ in range(120)]
        more, won = settle(api, parallel(one, pauses, 8))
        bad += more
        cancelled += won
        n += 120
        longest *= 2
        if bad or n > 600:
            break

    t.eq(bad, [], 'sandbox: one of both wins')
    t.ok(0 < cancelled < n, 'sandbox: both were seen') or t.diag(cancelled)


def provider_rounds(t, api, rng):
    p = api.provider
    p.script('race', poll=[{'state': 'processing', 'until': 'go'}, {}])

    def one(i):
        task = api.alice.video('script:race %d.' % i, 'sora-2')['task_id']
        time.sleep(rng.uniform(0.0, 0.6))
        return task, api.alice.cancel(task)

    p.release('go')
    pairs = parallel(one, range(80), 8)
    bad, cancelled = settle(api, pairs)
    t.eq(bad, [], 'provider: one of both wins')
    t.ok(0 < cancelled < 80, 'provider: both were seen') or t.diag(cancelled)

    twice = [j.prompt for j in p.jobs_of('script:race')
             if j.counts['cancel'] > 1]
    t.eq(twice, [], 'no provider job is cancelled twice')
    counts = [p.count('submit', 'race %d.' % i) for i in range(80)]
    t.ok(max(counts) <= 1, 'no submit is made twice')

    lost = [task for (task, reply), i in zip(pairs, range(80))
            if reply.status == 409
            and any(j.cancelled for j in p.jobs_of('race %d.' % i))]
    t.eq(lost, [], 'no completed job is cancelled at the provider')


def check_slots(t, api):
    """All slots came back: eight tasks run at a time, not fewer."""

    p = api.provider
    p.script('full', poll=[{'state': 'processing', 'until': 'end'}, {}])
    tasks = [api.alice.video('script:full %d' % i, 'sora-2')['task_id']
             for i in range(10)]
    t.ok(p.wait(lambda p: p.count('submit', 'script:full') == 8),
         'slots of cancelled tasks are given back')
    p.release('end')
    t.eq({api.alice.wait(task)['status'] for task in tasks}, {'completed'},
         'and used')


def check_submit(t, api):
    """Cancelled before the id is known: the job is cancelled later."""

    p = api.provider
    r = api.alice.video('script:held-submit early', 'sora-2')
    p.wait(lambda p: p.count('submit', 'early'))
    began = time.monotonic()
    c = api.alice.cancel(r['task_id'])
    t.eq((c.status, c['status']), (200, 'cancelled'), 'during the submit')
    t.between(time.monotonic() - began, 0, 1 * BUSY, 'at once')
    p.release('go')
    t.ok(p.wait(lambda p: p.count('cancel', 'early') == 1),
         'the job gets its cancel when its id is known')
    t.eq(api.alice.document(r['task_id'])['status'], 'cancelled',
         'it stays cancelled')

    for script in ('cancel-500', 'cancel-slow'):
        r = api.alice.video('script:%s x' % script, 'sora-2')
        p.wait(lambda p: p.count('poll', 'script:%s' % script))
        began = time.monotonic()
        c = api.alice.cancel(r['task_id'])
        t.eq((c.status, c['status']), (200, 'cancelled'), script)
        t.between(time.monotonic() - began, 0, 0.8 * BUSY,
                  script + ': not waited for')
        t.ok(p.wait(lambda p: p.count('cancel', 'script:' + script)),
             script + ': is called')


def test_race(t):
    rng = random.Random(4)

    with Api(t, workers=2, providers=['videos'], edit=limit,
             http=MEDIA) as api:
        sandbox_rounds(t, api, rng)
        provider_rounds(t, api, rng)
        check_slots(t, api)
        check_submit(t, api)


run(test_race)
