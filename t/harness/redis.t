#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# tasks kept in Redis: create, poll, restart, other hosts

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

from conduit_api import *
from conduit_redis import *

HELD = GPU.replace('lease 1s', 'lease 60s')


def host(t, redis, name, like=None, **more):
    return make_host(Api, t, redis, name, like, **more)


def test_one_host(t):
    with Redis() as redis, host(t, redis, 'a', workers=2) as api:
        before = redis.calls()
        reply = api.alice.image('sandbox', seed=1)
        t.eq(reply.status, 202, 'created')

        doc = api.alice.wait(reply['task_id'])
        t.eq(doc['status'], 'completed', 'completed')
        t.diag('calls %d' % (redis.calls() - before))

        t.ok(any(k.endswith(reply['task_id'])
                 for k in redis.keys('conduit:*:task:*')), 'kept in Redis')
        wait_for(lambda: not redis.keys('conduit:*:leases'), 10,
                 'leases to end')


def test_two_hosts(t):
    with Redis() as redis, host(t, redis, 'a') as a, \
            host(t, redis, 'b', a) as b:

        task = a.alice.image('x', seed=1)['task_id']
        reply = b.alice.status(task)
        t.eq(reply.status, 200, 'host b knows the task')

        t.eq(b.bob.status(task).status, 404, 'not for others')

        reply = b.alice.wait(task)
        t.eq(reply['status'], 'completed', 'b waits for its end')
        t.eq(a.alice.wait(task), reply, 'both tell the same')


def test_restart(t):
    with Redis() as redis, host(t, redis, 'a', workers=2) as api:
        done = api.alice.image('x', seed=1)['task_id']
        document = api.alice.wait(done)
        task = api.alice.image('sandbox:duration=3s')['task_id']

        api.kill_all()
        api.start()
        connect_all(api)

        t.eq(api.alice.document(done), document, 'an ended task is still so')
        t.eq(api.alice.status(task).status, 200, 'the other one is known')
        t.eq(api.alice.wait(task, 40)['status'], 'completed', 'it ends')


def test_changes(t):
    with Redis() as redis, host(t, redis, 'a') as a, \
            host(t, redis, 'b', a) as b:

        # cancelled by the other host

        task = a.alice.image('sandbox:duration=20s')['task_id']
        events = a.alice.events(task)
        reply = b.alice.cancel(task)
        t.eq((reply.status, reply['status']), (200, 'cancelled'),
             'cancelled on b')
        seen = [doc['status'] for _, doc in events]
        t.eq(seen[-1], 'cancelled', 'and told on a')
        t.eq(a.alice.document(task), b.alice.document(task), 'one document')
        t.eq(a.alice.cancel(task).status, 409, 'ended on a, too')

        # events of a task of a, seen on b

        task = a.alice.image('sandbox:duration=1s')['task_id']
        seen = [doc for _, doc in b.alice.events(task)]
        t.eq(seen[-1]['status'], 'completed', 'b streams to the end')

        task = a.alice.image('sandbox:duration=60s sandbox:progress=99')[
            'task_id']
        seen = []

        for _, doc in b.alice.events(task):
            seen.append(doc['progress'])

            if len(set(seen)) == 4 and doc['status'] == 'processing':
                a.alice.cancel(task)

        t.ok(len(set(seen)) >= 4, 'b streams progress') or t.diag(seen)

        # lists

        ids = {d['task_id'] for d in a.alice.list(limit=100)['data']}
        more = {d['task_id'] for d in b.alice.list(limit=100)['data']}
        t.eq(more, ids, 'both list the same')

        task = a.alice.image('x', seed=2)['task_id']
        a.alice.wait(task)
        new, = b.alice.list(limit=1)['data']
        t.eq((new['task_id'], new['status']), (task, 'completed'),
             'what is new is listed on b')

        # failed on a, tried again on b

        task = a.alice.image('sandbox:error=provider_error')['task_id']
        t.eq(a.alice.wait(task)['status'], 'failed', 'failed on a')
        t.eq(b.alice.retry(task).status, 202, 'tried again on b')
        t.eq(a.alice.wait(task)['status'], 'failed', 'a waits for it')


def test_position(t):
    """A place in the queue, told by the other host, too."""

    with Redis() as redis, host(t, redis, 'a', gpu=HELD) as a, \
            host(t, redis, 'b', a, gpu=HELD) as b:

        def places(api, tasks):
            return [api.alice.document(task)['queue_position']
                    for task in tasks]

        tasks = [a.alice.image('x', 'gpu-image')['task_id'] for _ in range(3)]
        t.eq([places(api, tasks) for api in (a, b)], [[1, 2, 3]] * 2,
             'the same on both')

        # of tasks before it b hears with the next question

        a.alice.cancel(tasks.pop(0))
        t.eq(places(a, tasks), [1, 2], 'they move up')
        wait_for(lambda: places(b, tasks) == [1, 2], 15, 'b to know that')

        a.robot.worker('claim', {})
        wait_for(lambda: places(b, tasks) == [None, 1], 15, 'and this')
        t.eq(places(b, tasks), places(a, tasks), 'one that runs has none')


run(test_one_host, test_two_hosts, test_restart, test_changes, test_position)
