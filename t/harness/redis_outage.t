#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# Redis gone, slow, silent, restarted empty or from a copy; nothing that was accepted is lost

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

from conduit_api import *
from conduit_redis import *


def host(t, redis, name, like=None, **more):
    return make_host(Api, t, redis, name, like, **more)


def health(api):
    return api.alice.get('/health').json()


def kept(redis, task):
    """Status of a task in Redis, None if it is not there."""

    for key in redis.keys('conduit:*:task:' + task):
        header = redis.call('HGET', key, 'h')
        return int(header.split()[1])

    return None


def test_gone(t):
    with Redis() as redis, host(t, redis, 'a') as a, \
            host(t, redis, 'b', a) as b:

        t.eq(health(a)['checks']['store']['status'], 'Healthy', 'healthy')

        mine = a.alice.image('sandbox:duration=3s')['task_id']
        ended = b.alice.image('x')['task_id']
        b.alice.wait(ended)

        redis.stop()
        wait_for(lambda: health(a)['status'] == 'Degraded', 20, 'degraded')

        reply = a.alice.image('x')
        t.eq(reply.status, 503, 'a create is refused')
        t.eq(reply.json()['error']['code'], 'store_unavailable', 'and why')
        t.ok(reply.header('retry-after'), 'Retry-After')

        t.eq(a.alice.wait(mine)['status'], 'completed',
             'a goes on with its own task')
        t.eq(b.alice.status(ended).status, 200, 'b answers for its own')
        t.eq(a.alice.status(ended).status, 503,
             'a does not know of others now')

        # comes back empty

        redis.start()
        wait_for(lambda: health(a)['status'] == 'Healthy'
                 and health(b)['status'] == 'Healthy', 20, 'healthy')
        wait_for(lambda: kept(redis, mine) == 2 and kept(redis, ended) == 2,
                 20, 'both hosts to put their tasks again')

        t.eq(b.alice.wait(mine), a.alice.wait(mine), 'b knows the task of a')
        wait_for(lambda: b.alice.image('x').status == 202, 20, 'a create')
        t.eq(a.alice.wait(ended), b.alice.wait(ended),
             'a knows the task of b')


def test_local(t):
    with Redis() as redis, host(t, redis, 'a', more='on_outage=local') as a:
        redis.stop()
        wait_for(lambda: health(a)['status'] == 'Degraded', 20, 'degraded')

        reply = a.alice.image('sandbox:duration=1s')
        t.eq(reply.status, 202, 'a create is taken')
        more = a.alice.image('sandbox:duration=600s')
        t.eq(a.alice.wait(reply['task_id'])['status'], 'completed', 'it runs')

        redis.start()
        wait_for(lambda: kept(redis, reply['task_id']) == 2, 20,
                 'the ended one in Redis')
        wait_for(lambda: kept(redis, more['task_id']) is not None, 20,
                 'the other one in Redis')
        t.ok(True, 'both are put into Redis')
        a.alice.cancel(more['task_id'])


def test_slow(t):
    with Redis() as redis, RedisProxy(redis) as proxy, \
            host(t, proxy, 'a', server=PID) as a:

        pulse = Pulse(a)
        proxy.delay(1.0)

        begun = time.monotonic()
        task = a.alice.image('x')
        took = time.monotonic() - begun
        t.eq(task.status, 202, 'a create')
        t.ok(took >= 0.9, 'waits for Redis')

        t.eq(a.alice.wait(task['task_id'])['status'], 'completed', 'ends')
        pulse.end(t, 'slow', 40)
        proxy.heal()


def test_silent(t):
    with Redis() as redis, RedisProxy(redis) as proxy, \
            host(t, proxy, 'a') as a:

        proxy.mute()
        begun = time.monotonic()
        reply = a.alice.image('x')
        t.eq(reply.status, 503, 'nobody answers')
        t.ok(time.monotonic() - begun < 25, 'told within the deadline')
        wait_for(lambda: health(a)['status'] == 'Degraded', 20, 'degraded')

        # what hangs is given up, new connections are good

        proxy.cut()
        proxy.heal()
        wait_for(lambda: a.alice.image('x').status == 202, 20, 'a create')
        wait_for(lambda: health(a)['status'] == 'Healthy', 20, 'health')


def test_earlier(t):
    """Redis comes back as it was some time ago."""

    with Redis() as redis, host(t, redis, 'a') as a, \
            host(t, redis, 'b', a) as b:

        def marks():
            return {x: int(redis.call('GET', x))
                    for x in redis.keys('conduit:mark:*')}

        before = wait_for(lambda: len(marks()) == 2 and marks(), 30,
                          'both hosts to leave a mark')
        redis.call('SAVE')

        task = a.alice.image('sandbox:duration=50ms')['task_id']
        a.alice.wait(task)

        wait_for(lambda: all(marks()[x] > before[x] for x in before), 30,
                 'marks that are not in the copy')

        redis.stop()
        redis.start()

        a.wait_log('Redis has gone back to an earlier state')
        b.wait_log('Redis has gone back to an earlier state')
        wait_for(lambda: kept(redis, task) == 2, 30, 'the task in Redis')
        t.eq(b.alice.wait(task), a.alice.wait(task), 'b knows the task of a')


run(test_gone, test_local, test_slow, test_silent, test_earlier)
