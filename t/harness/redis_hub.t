#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# hubs on one host, tasks on the other

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

from conduit_api import *
from conduit_hub import *
from conduit_redis import *


HELD = GPU.replace('lease 1s', 'lease 60s')


def host(t, redis, name, like=None, **more):
    return make_host(Api, t, redis, name, like, **more)


def told(hub, name, *tasks):
    """True when that was told of all of them, whatever else is."""

    left = set(tasks)

    while left:
        left.discard(hub.until(name)[-1][1][0])

    return True


def test_hub(t):
    with Redis() as redis, host(t, redis, 'a', workers=2) as a, \
            host(t, redis, 'b', a, workers=2) as b:

        secret = a.secrets['alice']

        with Hub(b.port(), secret) as hub:
            task = a.alice.image('sandbox:duration=60s '
                                 'sandbox:progress=99')['task_id']
            r = hub.invoke('SubscribeToTask', task)
            t.ok('error' not in r, 'subscribed on b') or t.diag(r)

            for _ in range(3):
                t.eq(hub.until('TaskProgress')[-1][1][0], task, 'progress')

            a.alice.cancel(task)
            t.eq(hub.until('TaskFailed')[-1][1][0], task, 'the end')

            r = hub.invoke('SubscribeToTask', 'a' * 8 + task[8:])
            t.ok('error' in r, 'an unknown task')

            # a task that ends while the subscription is made

            bad = 0

            for i in range(20):
                task = a.alice.image('sandbox:duration=30ms')['task_id']
                hub.invoke('SubscribeToTask', task)
                events = hub.until('TaskCompleted', 'TaskFailed')
                bad += events[-1][0] != 'TaskCompleted'

            t.eq(bad, 0, 'the end is always told')

            # all tasks, those that come later, too

            old = a.alice.image('sandbox:duration=8s')['task_id']
            r = hub.invoke('SubscribeToAllTasks')
            t.ok('error' not in r, 'all') or t.diag(r)
            new = a.alice.image('sandbox:duration=100ms')['task_id']
            ended = set()

            while ended < {old, new}:
                name, arguments = hub.until('TaskCompleted')[-1]
                ended.add(arguments[0])

            t.eq(ended & {old, new}, {old, new}, 'both ends are told')

            # cancelled from the hub

            task = a.alice.image('sandbox:duration=600s')['task_id']
            r = hub.invoke('CancelTask', task)
            t.ok('error' not in r, 'cancelled on b') or t.diag(r)
            t.eq(a.alice.wait(task)['status'], 'cancelled', 'and on a')

        # a token of a is good for b

        token = Hub.negotiate(type('H', (), {'port': a.port(),
                                             'key': secret})(), IMAGE_HUB)
        hub = Hub(b.port(), secret, IMAGE_HUB + '?id='
                  + token['connectionToken'], negotiate=False)
        t.ok('error' not in hub.invoke('SubscribeToAllTasks'),
             'a token of a on b')
        hub.close()


def test_watcher(t):
    """Watchers outlive the process that follows for them, and Redis."""

    with Redis() as redis, host(t, redis, 'a') as a, \
            host(t, redis, 'b', a, workers=2) as b:

        task = a.alice.image('sandbox:duration=9s')['task_id']
        polls = [b.alice.events(task) for _ in range(4)]

        redis.stop()
        redis.start()

        seen = [[d['status'] for _, d in p][-1] for p in polls]
        t.eq(seen, ['completed'] * 4, 'all streams end')


def test_limits(t):
    """Connections and tasks of a key count over all hosts."""

    keys = {'carol': 'connections 3; tasks 4;'}

    with Redis() as redis, host(t, redis, 'a', keys=keys) as a, \
            host(t, redis, 'b', a, keys=keys) as b:

        secret = a.secrets['carol']
        hubs = [Hub(a.port(), secret) for _ in range(3)]

        def refused():
            try:
                Hub(b.port(), secret).close()

            except Refused as e:
                return e.status

            return None

        t.eq(wait_for(refused, 10, 'b to hear of a'), 429, 'connections')

        for hub in hubs:
            hub.close()

        wait_for(lambda: not refused(), 10, 'b to hear that they are gone')

        tasks = [a.carol.image('sandbox:duration=600s')['task_id']
                 for _ in range(4)]
        reply = wait_for(lambda: (lambda r: r if r.status != 202 else
                                  b.carol.cancel(r['task_id']) and None)(
            b.carol.image('sandbox:duration=600s')), 10, 'b to hear of a')
        t.eq((reply.status, reply.json()['error']['code']),
             (429, 'too_many_tasks'), 'tasks')

        for task in tasks:
            b.carol.cancel(task)

        wait_for(lambda: b.carol.image('x').status == 202, 10,
                 'b to hear that they have ended')
        t.ok(True, 'and again when they have ended')


def test_midway(t):
    """Whoever begins to follow all tasks of a key is told also of those that
    do not change meanwhile."""

    with Redis() as redis, host(t, redis, 'a') as a, \
            host(t, redis, 'b', a) as b:

        tasks = [a.alice.image('sandbox:duration=600s')['task_id']
                 for _ in range(5)]

        for task in tasks:
            a.alice.until(task, lambda d: d['status'] == 'processing')

        with Hub(b.port(), a.secrets['alice']) as hub:
            r = hub.invoke('SubscribeToAllTasks')
            t.ok('error' not in r, 'all of them')
            t.ok(told(hub, 'TaskProgress', *tasks),
                 'who is told at once how they stand')

            for task in tasks:
                own, other = a.alice.status(task), b.alice.status(task)
                t.eq((other.header('etag'), other.text),
                     (own.header('etag'), own.text), 'b tells what a tells')

            # others begin while b reads them

            for _ in range(5):
                task = a.alice.image('sandbox:duration=600s')['task_id']

                while True:
                    name, arguments = hub.until('TaskProgress')[-1]

                    if arguments[0] == task:
                        break

                t.eq(b.alice.status(task)['status'], 'processing',
                     'a new one begins for b, too')


def test_unasked(t):
    """Their owner has not heard at first that all tasks are followed."""

    with Redis() as redis, RedisProxy(redis) as proxy, \
            host(t, redis, 'a', gpu=HELD) as a, \
            host(t, proxy, 'b', a, gpu=HELD) as b:
        task = b.alice.image('s', 'gpu-image')['task_id']
        b.robot.worker('claim', {})
        since = len(b.error_log())
        proxy.cut()

        with Hub(a.port(), a.secrets['alice']) as hub:
            r = hub.invoke('SubscribeToAllTasks')
            t.ok('error' not in r, 'all of them')

            proxy.listen()
            connect_all(b, since)
            wait_for(lambda: b.robot.worker('tasks/%s/complete' % task, {
                'data': [{'url': 'https://example.com/a.png'}]}).status == 200,
                     20, 'the end')
            t.ok(told(hub, 'TaskCompleted', task), 'is told')


def test_failed(t):
    """All tasks could not be read in time when Redis was there again."""

    with Redis() as redis, RedisProxy(redis) as proxy, \
            host(t, redis, 'a') as a, host(t, proxy, 'b', a) as b:
        with Hub(b.port(), a.secrets['alice']) as hub:
            r = hub.invoke('SubscribeToAllTasks')
            t.ok('error' not in r, 'all of them')

            # three replies of 1.8 seconds take longer than is waited for

            since = len(b.error_log())
            proxy.cut()
            proxy.delay(1.8)
            proxy.listen()
            connect_all(b, since)
            time.sleep(7)
            proxy.delay(0)

            task = a.alice.image('sandbox:duration=100ms')['task_id']
            t.ok(told(hub, 'TaskCompleted', task), 'it is told all the same')


def test_silent(t):
    """Nobody can say whether there is such a task."""

    with Redis() as redis, RedisProxy(redis) as proxy, \
            host(t, redis, 'a') as a, host(t, proxy, 'b', a) as b:
        task = a.alice.image('sandbox:duration=60s')['task_id']
        proxy.mute()

        with Hub(b.port(), a.secrets['alice']) as hub:
            for method in ('SubscribeToTask', 'GetTask', 'CancelTask'):
                r = hub.invoke(method, task)
                t.like(r.get('error'), 'try again later', method)


def test_many(t):
    """A key has more tasks than may be asked for at once."""

    more = dict(gpu=HELD, zone='conduit:64m',
                http='conduit_task_limit per_key=20000 total=20000;')

    with Redis() as redis, host(t, redis, 'a', **more) as a, \
            host(t, redis, 'b', a, **more) as b:

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            made = pool.map(lambda i: a.alice.image('s', 'gpu-image').status,
                            range(8500))
            t.eq(set(made), {202}, 'made')

        with Hub(b.port(), b.secrets['alice'], TASKS_HUB) as hub:
            r = hub.invoke('SubscribeToAllTasks')
            t.ok('error' not in r, 'subscribed on b') or t.diag(r)
            task = a.robot.worker('claim', {})['task_id']
            t.ok(told(hub, 'TaskStarted', task), 'and told')


run(test_hub, test_watcher, test_limits, test_midway, test_unasked,
    test_failed, test_silent, test_many)
