#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# rates of keys and their webhooks, and limits of providers, over two hosts

import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

from conduit_hooks import *
from conduit_redis import *


def host(t, redis, name, like=None, **more):
    return make_host(Api, t, redis, name, like, **more)


def test_rate(t):
    """Requests of a key count at every host, a second later."""

    keys = {'slow': 'rate 60r/m burst=20;', 'busy': 'rate 600r/m burst=10;'}

    with Redis() as redis, host(t, redis, 'a', keys=keys) as a, \
            host(t, redis, 'b', a, keys=keys) as b:

        def allowed(client, n):
            return sum(client.list().status == 200 for _ in range(n))

        # the bucket of b has never been used when a empties its own

        t.eq(allowed(a.slow, 20), 20, 'a burst at a')
        left = wait_for(lambda: (lambda r: r if int(
            r.header('x-ratelimit-remaining')) < 10 else None)(
            b.slow.list()), 20, 'b to hear of it')
        t.ok(int(left.header('x-ratelimit-remaining')) < 10,
             'is missing at b') or t.diag(left)

        # both at once, for as long as it takes to see it

        begin = time.monotonic()
        n = 0

        while time.monotonic() - begin < 16:
            n += allowed(a.busy, 10) + allowed(b.busy, 10)

        took = time.monotonic() - begin
        one = 10 + 10 * took

        # each may be ahead by its burst and what beats are late; who stands
        # still for a while makes no use of it
        t.between(n, 0.3 * one, one + 10 + 10 * 8, 'one rate for both')
        t.diag('%d requests in %.1f s, %d at one host' % (n, took, one))


def few(text):
    """The blocks of the provider, which allows two tasks at a time."""

    return text.replace('timeout     submit=300s;',
                        'timeout submit=300s; limit concurrency=2 queue=12;')


def test_provider(t):
    """What a provider allows holds over all hosts, and each gets its share."""

    with Redis() as redis, \
            host(t, redis, 'a', providers=['openai'], edit=few) as a, \
            host(t, redis, 'b', a, providers=['openai'], edit=few,
                 provider=a.provider) as b:

        p = a.provider

        def make(api, n, prompt):
            return [api.alice.image(prompt, 'dall-e-3')['task_id']
                    for _ in range(n)]

        def heard(api, n):
            return wait_for(lambda: api.metric(
                'conduit_provider_tasks_away',
                provider='openai_images') == n, 20, 'the other host')

        # both slots are taken at a

        long = make(a, 2, 'script:hang-submit at a')
        heard(b, 2)
        mine = make(b, 1, 'at b')
        time.sleep(1.5)
        t.eq((b.alice.document(mine[0])['status'], p.count('submit', 'at b')),
             ('pending', 0), 'no slot is left for b')
        a.alice.cancel(long.pop())
        t.eq(b.alice.wait(mine[0])['status'], 'completed',
             'one that is free again is taken at b')

        # the queue is one

        long += make(a, 1, 'script:hang-submit at a')
        heard(b, 2)
        wait = make(a, 11, 'script:hang-submit at a')

        def full():
            r = b.alice.image('script:hang-submit at b', 'dall-e-3')

            if r.status == 202:
                wait.append(r['task_id'])

            return r.status != 202 and r

        r = wait_for(full, 20, 'the queue to be full', 0.3)
        t.eq((r.status, r.error()), (503, 'queue_full'),
             'the queue counts at all hosts')

        for task in wait + long:
            b.alice.cancel(task)

        heard(a, 0)
        heard(b, 0)

        # a would keep its slots for ever

        long = make(a, 2, 'script:hang-submit at a')
        heard(b, 2)
        many = make(a, 8, 'script:slow-submit at a')
        mine = make(b, 2, 'script:slow-submit at b')

        for task in long:
            a.alice.cancel(task)

        ends = {task: a.alice.wait(task, 60)['completed_at']
                for task in many + mine}

        t.ok(max(ends[i] for i in mine) < max(ends[i] for i in many),
             'tasks of b do not wait for all of a') or t.diag(ends)


def test_webhooks(t):
    """POSTs of a key, wherever they come from, keep to one rate."""

    keys = {'fast': 'webhook_rate 40r/s;', 'slow': 'webhook_rate 5r/m;'}
    sink = Sink()

    with Redis() as redis, \
            make_host(Hooks, t, redis, 'a', keys=keys) as a, \
            make_host(Hooks, t, redis, 'b', a, keys=keys, workers=2) as b:

        n = 160

        def fire(i):
            (a if i % 2 else b).fire(sink.url('/fast'), key='fast')

        begin = time.monotonic()
        parallel(fire, range(n), 8)
        wait_for(lambda: len(sink.hits('/fast')) == n, 60, 'all of them')
        took = time.monotonic() - begin

        # those that arrive late may arrive together, but none comes too soon

        at = sorted(hit.at - begin for hit in sink.hits('/fast'))
        t.ok(all(i + 1 <= 40 * (late + 1) + 5 for i, late in enumerate(at)),
             'never over the rate') or t.diag(at)
        t.ok(took >= n / 40 - 1, 'it took the time it has to')
        t.diag('%d in %.1f s' % (n, took))

        # two hosts at the same moment, each of which could send all

        parallel(lambda i: (a if i % 2 else b).fire(sink.url('/slow'),
                                                    key='slow'),
                 range(12), 12)
        wait_for(lambda: len(sink.hits('/slow')) == 5, 20, 'what may go')
        time.sleep(3)
        t.eq(len(sink.hits('/slow')), 5, 'five a minute stay five')


run(test_rate, test_webhooks, test_provider)
