#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# damaged or hostile data in Redis: tasks, deliveries, leases, messages

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

from conduit_hooks import *
from conduit_redis import *

NUMBERS = ['0', '7', '255', '256', '4294967295', '9223372036854775807',
           '18446744073709551615', '-1', 'x', '']

TEXTS = [b'', b'\0', b'\n', b' ', b'x' * 70000, b'\xff' * 40, b'1 2 3\n',
         b'{"a":', b'%s%n%d', b'9' * 400]


def host(t, redis, name, like=None):
    return make_host(Hooks, t, redis, name, like, workers=1,
                     zone='conduit:64m')


def copies(raw):
    """Hashes as the given one, damaged here and there."""

    numbers, rest = raw[b'h'].split(b'\n', 1)
    numbers = numbers.split(b' ')

    for i in range(len(numbers)):
        for n in NUMBERS:
            line = b' '.join(numbers[:i] + [n.encode()] + numbers[i + 1:])
            yield dict(raw, h=line + b'\n' + rest)

        yield dict(raw, h=b' '.join(numbers[:i]) + b'\n' + rest)

    for name in raw:
        for text in TEXTS:
            yield {**raw, name: text}

        yield {k: v for k, v in raw.items() if k != name}

    for name, text in raw.items():
        if name[:2] == b'e:':
            parts = text.split(b' ')

            for i in range(len(parts)):
                for n in NUMBERS:
                    yield {**raw, name: b' '.join(
                        parts[:i] + [n.encode()] + parts[i + 1:])}

    yield {**raw, **{b'e:%022d' % i: raw[b'h'] for i in range(300)}}


def put(redis, task, raw, i):
    """A hash as that of another task of the shard, whose id is returned."""

    id = '%s%06x-0000-4000-8000-%012x' % (task[:2], i, i)
    shard = 'conduit:{%02d}:' % (int(task[:2], 16) % 64)
    fields = {k.encode() if isinstance(k, str) else k: v
              for k, v in raw.items()}

    if fields:
        redis.call('HSET', shard + 'task:' + id,
                   *[x for pair in fields.items() for x in pair])

    redis.call('ZADD', shard + 'key:alice', i, id)

    if i % 20 == 0:
        redis.call('ZADD', shard + 'leases', 1, id, 1, '+' + id)

    return id


def get(redis, task):
    key, = redis.keys('conduit:*:task:' + task)
    fields = redis.call('HGETALL', key)

    return dict(zip(fields[::2], fields[1::2]))


def test_tasks(t):
    sink = Sink()

    with Redis() as redis, host(t, redis, 'a') as a, \
            host(t, redis, 'b', a) as b:

        ended = a.alice.image('sandbox', webhook_url=sink.url())['task_id']
        failed = a.alice.image('sandbox:error=provider_error')['task_id']
        a.alice.wait(ended)
        a.alice.wait(failed)
        wait_for(lambda: a.alice.document(ended)['webhook']['status']
                 == 'delivered', 30, 'the delivery')
        live = a.alice.image('sandbox:duration=60s')['task_id']

        pids = a.workers() + b.workers()
        n = 0

        for task in (ended, failed, live):
            for raw in copies(get(redis, task)):
                n += 1
                id = put(redis, task, raw, n)
                r = b.alice.status(id)

                if r.status not in (200, 404, 503):
                    t.ok(False, 'a reply') or t.diag((r.status, raw))

        t.diag('%d hashes' % n)
        taken = redis.call('ZCARD', 'conduit:{%02d}:leases'
                           % (int(live[:2], 16) % 64))
        t.ok(taken > 10, 'leases that have run out')

        for api in (a, b):
            r = api.alice.list(limit=100)
            t.ok(r.status in (200, 503), 'a list')
            r = api.alice.status(ended)
            t.eq((r.status, r.json().get('status')), (200, 'completed'),
                 'what is whole is read') or t.diag(r.text)

        # those whose leases have run out are taken over

        with host(t, redis, 'c', a) as c:
            wait_for(lambda: all(
                redis.call('ZCOUNT', key, 0, 1) == 0
                for key in redis.keys('conduit:*:leases')), 40, 'takeovers')
            t.ok(any('took over task' in api.error_log()
                     for api in (a, b, c)), 'taken over')
            t.eq(c.alice.wait(c.alice.image('x')['task_id'])['status'],
                 'completed', 'and it goes on')

        for api in (a, b):
            t.eq(api.alice.wait(api.alice.image('x')['task_id'])['status'],
                 'completed', 'and hosts go on')

        t.eq(a.workers() + b.workers(), pids, 'nobody has died')


def test_messages(t):
    with Redis() as redis, host(t, redis, 'a') as a:
        task = a.alice.image('sandbox:duration=60s')['task_id']
        a.alice.list()
        pids = a.workers()
        channels = [c.decode() for c in redis.call('PUBSUB', 'CHANNELS')]
        channels += ['conduit:task:' + task, 'conduit:key:alice']
        t.ok(any(':host:' in c for c in channels), 'a host listens')

        begins = [b'', b'beat ', b'beat x@y\n', b'key ', b'follow ', b'lent ',
                  b'changed ', b'borrow ', task.encode() + b' ',
                  b'follow ' + task.encode(), b'borrow ' + task.encode(),
                  b'borrow ' + task.encode() + b' 1 1 x ',
                  b'borrow ' + task.encode() + b' 1 1 x/1 ',
                  b'beat x@y\nk 1 1 1 1 1 ', b'beat x@y\np 1 1 1 ',
                  task.encode() + b' x@y\nalice\n']

        for channel in channels:
            for begin in begins:
                for text in TEXTS + [n.encode() for n in NUMBERS]:
                    redis.call('PUBLISH', channel, begin + text)

        redis.call('PUBLISH', 'conduit:hosts',
                   b'beat x@y\n' + b'k 1 2 3 4 5 n\n' * 9000
                   + b'p 1 2 3 sandbox\n' * 9000)

        t.eq(a.alice.status(task).status, 200, 'the task is there')
        t.eq(a.alice.wait(a.alice.image('x')['task_id'])['status'],
             'completed', 'the host goes on')
        t.eq(a.workers(), pids, 'nobody has died')


run(test_tasks, test_messages)
