#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# Idempotency-Key over two hosts: replays, conflicts, races, a host that dies

import os
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

from conduit_api import *
from conduit_redis import *


ASYNC = IMAGES + '/async'


def host(t, redis, name, like=None, **more):
    return make_host(Api, t, redis, name, like, **more)


def key(name):
    return {'Idempotency-Key': name}


def body(prompt, model='sandbox-image', **more):
    """Small pictures: nginx has better things to do here."""

    return dict({'model': model, 'prompt': prompt, 'size': '32x32'}, **more)


def tasks_of(redis, name):
    """How many tasks of a key Redis knows."""

    return sum(redis.call('ZCARD', k)
               for k in redis.keys('conduit:*:key:' + name))


def test_replay(t):
    keys = {'few': 'tasks 1;'}

    with Redis() as redis, host(t, redis, 'a', keys=keys) as a, \
            host(t, redis, 'b', a, keys=keys, workers=2) as b:

        first = a.alice.post(ASYNC, body('once'), key('a key'))
        again = b.alice.post(ASYNC, body('once'), key('"a key"'))
        t.eq((first.status, first.header('idempotency-replayed')),
             (202, None), 'made')
        t.eq((again.status, again.body, again.header('location'),
              again.header('idempotency-replayed')),
             (202, first.body.replace(b':1}', b':null}'),
              first.header('location'), 'true'), 'the stored reply')
        t.eq(a.alice.wait(first['task_id'])['status'], 'completed', 'ended')
        t.eq(b.alice.post(ASYNC, body('once'), key('a key')).body,
             again.body, 'the same after the end')

        r = b.alice.post(ASYNC, body('once', n=2), key('a key'))
        t.eq((r.status, r.error(), r.header('idempotency-replayed')),
             (422, 'idempotency_mismatch', None), 'another body')
        r = b.alice.post(VIDEOS + '/async', body('once', 'sandbox-video'),
                         key('a key'))
        t.eq(r.status, 422, 'another path')
        r = b.bob.post(ASYNC, body('once'), key('a key'))
        t.eq((r.status, r['task_id'] != first['task_id']), (202, True),
             'another virtual key')
        t.eq(a.bob.post(ASYNC, body('once'), key('a key'))['task_id'],
             r['task_id'], 'which a replays in turn')

        # nothing new can be made, and yet that is replayed

        long = body('sandbox:duration=60s')
        first = a.few.post(ASYNC, long, key('full'))
        t.eq(first.status, 202, 'the only one allowed')
        wait_for(lambda: b.few.post(ASYNC, long).status == 429, 20,
                 'b to hear of a')
        r = b.few.post(ASYNC, long, key('full'))
        t.eq((r.status, r['task_id']), (202, first['task_id']),
             'a replay at the limit')
        t.eq(b.few.post(ASYNC, body('other'), key('full')).status, 422,
             'a mismatch at the limit')
        t.eq(b.few.post(ASYNC, long, key('more')).status, 429,
             'and the limit itself')
        a.few.cancel(first['task_id'])

        # it is not lost with the host

        first = a.alice.post(ASYNC, body('kept'), key('kept'))
        a.alice.wait(first['task_id'])
        a.kill_all()
        a.start()
        connect_all(a)
        r = a.alice.post(ASYNC, body('kept'), key('kept'))
        t.eq((r['task_id'], r.header('idempotency-replayed')),
             (first['task_id'], 'true'), 'after a restart')


def test_race(t):
    """The same request at two hosts at the same instant."""

    rounds = 200

    with Redis() as redis, host(t, redis, 'a') as a, \
            host(t, redis, 'b', a, workers=2) as b:

        before = tasks_of(redis, 'alice')
        bad = []
        won = {None: 0}

        for i in range(rounds):
            data = a.alice.encode('POST', ASYNC, body('round %d' % i),
                                  key('round-%d' % i))
            replies = together([a.port(), b.port()], [data] * 4)
            ids = {r['task_id'] for r in replies if r.status == 202}
            fresh = [n for n, r in enumerate(replies) if r.status == 202
                     and r.header('idempotency-replayed') is None]

            if (len(ids) != 1 or len(fresh) != 1
                    or any(r.error() != 'idempotency_in_progress'
                           for r in replies if r.status != 202)):
                bad.append(replies)
            else:
                won[fresh[0] % 2] = won.get(fresh[0] % 2, 0) + 1

        t.eq(bad[:1], [], 'one task for a key')
        t.ok(won.get(0) and won.get(1), 'either host may win') \
            or t.diag(won)
        t.eq(tasks_of(redis, 'alice') - before, rounds,
             'exactly one task for each')
        t.diag('won by a and b: %s' % [won.get(0), won.get(1)])


def monitor(redis, work):
    """Commands that clients send meanwhile, without those of scripts."""

    c = redis.client()
    c.call('MONITOR')
    result = work()
    redis.call('ECHO', 'the end')
    lines = []

    while not lines or '"the end"' not in lines[-1]:
        line = c.read()

        if ' lua]' not in line:
            lines.append(line)

    c.close()

    return result, lines


def test_commands(t):
    """What an Idempotency-Key costs."""

    with Redis() as redis, host(t, redis, 'a') as a, host(t, redis, 'b',
                                                          a) as b:
        long = body('sandbox:duration=60s')
        a.alice.post(ASYNC, long, key('warm'))

        def count(lines, *words):
            return len([n for n in lines if any(w in n for w in words)])

        first, lines = monitor(redis, lambda: a.alice.post(ASYNC, long,
                                                           key('one')))
        t.eq(count(lines, ':idem:'), 1, 'a create: one command')
        t.eq(count(lines, first['task_id']), 1, 'which makes the task, too')

        _, lines = monitor(redis, lambda: b.alice.post(ASYNC, long,
                                                       key('one')))
        t.eq(count(lines, ':idem:'), 1, 'a replay: one command')

        _, lines = monitor(redis, lambda: a.alice.post(ASYNC, long,
                                                       key('one')))
        t.eq(count(lines, ':idem:'), 0, 'at the same host: none')

        _, lines = monitor(redis, lambda: a.alice.post(ASYNC, long))
        t.eq(count(lines, ':idem:', 'EVAL'), 0, 'without a key: none')


def test_sync(t):
    with Redis() as redis, host(t, redis, 'a', providers=['openai']) as a, \
            host(t, redis, 'b', a, provider=a.provider,
                 providers=['openai']) as b:

        p = a.provider
        held = body('script:held-submit sync', 'dall-e-3')

        with a.alice.connect() as c:
            c.send(a.alice.encode('POST', IMAGES, held, key('sync')))
            p.wait(lambda p: p.count('submit', 'sync'))
            r = b.alice.post(IMAGES, held, key('sync'))
            t.eq((r.status, r.error(), r.header('x-should-retry')),
                 (409, 'idempotency_in_progress', None), 'in progress')
            t.ok(r.header('retry-after'), 'with Retry-After')
            p.release('go')
            first = c.read_response('POST')

        again = b.alice.post(IMAGES, held, key('sync'))
        t.eq((first.status, again.status, again.body,
              again.header('x-conduit-task-id'),
              again.header('idempotency-replayed')),
             (200, 200, first.body, first.header('x-conduit-task-id'),
              'true'), 'the final body')
        t.eq(p.count('submit', 'sync'), 1, 'one submit')

        # a failure is not kept

        p.script('submit-404', submit=[{'status': 404}, {}])
        failing = body('script:submit-404 failing', 'dall-e-3')
        t.eq(a.alice.post(IMAGES, failing, key('failing')).status, 404,
             'a failure')
        r = b.alice.post(IMAGES, failing, key('failing'))
        t.eq(r.status, 200, 'is not stored')

        # who has the reply may repeat the request anywhere, at once, also
        # when Redis has forgotten the scripts

        seen = set()

        for i in range(30):
            redis.call('SCRIPT', 'FLUSH')
            a.alice.post(ASYNC, body('sandbox:duration=0'), key('async %d' % i))
            one, other = [api.alice.post(
                IMAGES, body('sandbox:duration=0'), key('at once %d' % i))
                for api in ((a, b), (b, a))[i % 2]]
            seen.add((one.status, other.status, one.body == other.body))

        t.eq(seen, {(200, 200, True)}, 'the same reply everywhere')

        # the client of a goes, that of b waits in its place

        slow = body('script:held-poll gone', 'dall-e-3')
        slow['prompt'] = 'sandbox:duration=8s'
        slow['model'] = 'sandbox-image'
        c = a.alice.connect()
        before = tasks_of(redis, 'alice')
        c.send(a.alice.encode('POST', IMAGES, slow, key('gone')))
        wait_for(lambda: tasks_of(redis, 'alice') > before, 20, 'the task')
        t.eq(b.alice.post(IMAGES, slow, key('gone')).status, 409, 'a has it')
        c.close()
        r = wait_for(lambda: (lambda r: r.status != 409 and r)(
            b.alice.post(IMAGES, slow, key('gone'))), 20, 'the end')
        t.eq((r.status, r.header('idempotency-replayed')), (200, 'true'),
             'waits in the place of a client that has gone')
        t.eq(a.alice.post(IMAGES, slow, key('gone')).body, r.body,
             'and a knows the same')


def test_dead(t):
    """A host dies while a client waits there: the key is free after a lease,
    and the task is the same."""

    with Redis() as redis, host(t, redis, 'a') as a, \
            host(t, redis, 'b', a) as b:

        # longer than a lease: all this time it goes on

        slow = body('sandbox:duration=14s')

        c = a.alice.connect()
        before = tasks_of(redis, 'alice') + 1
        c.send(a.alice.encode('POST', IMAGES, slow, key('dead')))
        wait_for(lambda: tasks_of(redis, 'alice') == before, 20, 'the task')
        t.eq(b.alice.post(IMAGES, slow, key('dead')).status, 409, 'a has it')
        a.kill_all()
        c.close()

        t.eq(b.alice.post(IMAGES, slow, key('dead')).status, 409,
             'its lease goes on')
        r = wait_for(lambda: (lambda r: r.status != 409 and r)(
            b.alice.post(IMAGES, slow, key('dead'), timeout=60)), 30,
            'the end', 0.5)
        t.eq((r.status, r.header('idempotency-replayed')), (200, 'true'),
             'b waits in its place')
        t.eq(tasks_of(redis, 'alice'), before, 'no second task')
        a.start()


def test_orphan(t):
    """The process that makes a task dies when Redis has it, and the request
    is repeated before anybody notices."""

    with Redis() as redis, RedisProxy(redis) as proxy, \
            host(t, proxy, 'a') as a, host(t, redis, 'b', a) as b:
        had = tasks_of(redis, 'alice')
        proxy.delay(3)

        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            lost = pool.submit(a.alice.post, ASYNC, body('once'), key('x'))
            wait_for(lambda: tasks_of(redis, 'alice') > had, 20, 'the task')
            pid, = a.workers()
            a.killed.add(pid)
            os.kill(pid, signal.SIGKILL)
            r = b.alice.post(ASYNC, body('once'), key('x'))
            t.ok(lost.exception(), 'it has no answer')

        proxy.delay(0)
        t.eq((r.status, r.header('idempotency-replayed')), (202, 'true'),
             'but another host has')
        t.eq(b.alice.wait(r['task_id'], 40)['status'], 'completed',
             'and the task runs')


def test_outage(t):
    with Redis() as redis, host(t, redis, 'a') as a, \
            host(t, redis, 'b', a, more='on_outage=local') as b:

        known = a.alice.post(ASYNC, body('x'), key('known'))
        redis.stop()

        def state(api):
            return api.alice.get('/health')['status']

        wait_for(lambda: state(a) == state(b) == 'Degraded', 20, 'degraded')

        r = a.alice.post(ASYNC, body('x'), key('known'))
        t.eq((r.status, r['task_id']), (202, known['task_id']),
             'what this host knows is replayed')
        r = a.alice.post(ASYNC, body('x'), key('new'))
        t.eq((r.status, r.error()), (503, 'store_unavailable'), 'refuse')
        r = b.alice.post(ASYNC, body('x'), key('new'))
        t.eq(r.status, 202, 'local')
        t.eq(b.alice.post(ASYNC, body('x'), key('new'))['task_id'],
             r['task_id'], 'and replayed there')

        # it comes back empty, and is told all that these hosts know

        redis.start()
        wait_for(lambda: len(redis.keys('conduit:*:idem:*')) == 2, 30,
                 'both to be put')
        wait_for(lambda: state(a) == state(b) == 'Healthy', 20, 'healthy')
        again = a.alice.post(ASYNC, body('x'), key('new'))
        t.eq((again.status, again['task_id'],
              again.header('idempotency-replayed')),
             (202, r['task_id'], 'true'), 'the other host knows it now')
        t.eq(b.alice.post(ASYNC, body('x'), key('known'))['task_id'],
             known['task_id'], 'and what was known before')


def test_silent(t):
    """Redis falls silent, has the task nevertheless, and the request is
    repeated: tasks are taken without Redis, and it is the same one."""

    with Redis() as redis, RedisProxy(redis) as proxy, \
            host(t, proxy, 'a', more='on_outage=local') as a, \
            host(t, redis, 'b', a) as b, \
            concurrent.futures.ThreadPoolExecutor(4) as pool:

        had = tasks_of(redis, 'alice')
        proxy.delay(3600)
        lost = [pool.submit(a.alice.post, ASYNC, body('x'), headers)
                for headers in (key('silent'), {})]
        wait_for(lambda: tasks_of(redis, 'alice') == had + 2, 20, 'the tasks')
        first, other = [r.result(60) for r in lost]
        t.eq((first.status, other.status), (202, 202), 'taken')
        again = a.alice.post(ASYNC, body('x'), key('silent'))
        t.eq((again.status, again['task_id']), (202, first['task_id']),
             'and replayed')

        proxy.delay(0)
        proxy.cut()
        proxy.listen()

        for r in first, other:
            t.eq(b.alice.wait(r['task_id'], 40)['status'], 'completed',
                 'b has it')

        t.eq(b.alice.post(ASYNC, body('x'), key('silent'))['task_id'],
             first['task_id'], 'and the key')
        t.eq(tasks_of(redis, 'alice'), had + 2, 'no other task')


run(test_replay, test_race, test_commands, test_sync, test_dead, test_orphan,
    test_outage, test_silent)
