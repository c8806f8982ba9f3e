#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# lists of tasks that lie at several hosts

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

from conduit_api import *
from conduit_redis import *


def host(t, redis, name, like=None, **more):
    return make_host(Api, t, redis, name, like, **more)


def pages(client, limit=100, **query):
    """All tasks of a list, page by page."""

    found = []
    query['limit'] = limit

    while True:
        r = client.list(**query)

        if r.status != 200:
            raise AssertionError('%d: %s' % (r.status, r.text))

        data = r['data']
        found += data

        if (r['first_id'], r['last_id']) != (
                (data[0]['task_id'], data[-1]['task_id']) if data
                else (None, None)):
            raise AssertionError('first_id or last_id')

        if not r['has_more']:
            return found

        if len(data) != limit:
            raise AssertionError('a short page that has more')

        query['after'] = r['last_id']


def ids(tasks):
    return [task['task_id'] for task in tasks]


def make(client, n):
    """n tasks one after the other, their ids."""

    def one(_):
        r = client.image('sandbox:duration=10ms', size='32x32')

        if r.status != 202:
            raise AssertionError('%d: %s' % (r.status, r.text))

        return r['task_id']

    return parallel(one, range(n), 1)


def test_many(t):
    """More than fit into the zone of the host that lists them."""

    n = 5000
    limit = 'conduit_task_limit per_key=10000;'

    with Redis() as redis, \
            host(t, redis, 'a', workers=2, http=limit,
                 zone='conduit:64m') as a, \
            host(t, redis, 'b', a, http=limit, zone='conduit:2m') as b:

        made = make(a.bob, n)
        t.eq(len(set(made)), n, 'made at a')
        wait_for(lambda: a.bob.list(status='processing', limit=1)['data'] == []
                 and a.bob.list(status='pending', limit=1)['data'] == [], 60,
                 'all to end')

        rising = pages(b.bob, order='asc')
        t.eq(len(rising), n, 'listed at b')
        t.ok(ids(rising) == made, 'each once, and in order')
        t.eq({x['status'] for x in rising}, {'completed'}, 'as they are')

        falling = ids(pages(b.bob, limit=97))
        t.eq(falling, ids(rising)[::-1], 'the newest first')
        t.eq(ids(pages(a.bob)), falling, 'a says the same')
        t.ok(a.bob.list(limit=100).body == b.bob.list(limit=100).body,
             'byte for byte')
        t.eq(b.bob.list(status='failed')['data'], [], 'none has failed')
        t.eq(b.metric('conduit_tasks', status='completed'), 1,
             'and b has not taken them in')


def test_mixed(t):
    """Tasks of both hosts, and those that go on."""

    with Redis() as redis, host(t, redis, 'a') as a, \
            host(t, redis, 'b', a, workers=2) as b:

        hosts = [a, b]
        made = []

        for i in range(60):
            client = hosts[i * 7 % 3 % 2].bob
            r = (client.video if i % 5 == 0 else client.image)(
                'sandbox:duration=10ms')
            made.append(r['task_id'])

        for task in made:
            a.bob.wait(task)

        t.eq(ids(pages(a.bob, 7, order='asc')), made, 'in order at a')
        t.eq(ids(pages(b.bob, 20)), made[::-1], 'in order at b')
        t.eq(ids(pages(b.bob, 3, type='video', order='asc')), made[::5],
             'by type')
        t.eq(ids(pages(b.bob, 5, model='sandbox-video')), made[::5][::-1],
             'by model')

        # progress, which Redis does not have

        long = a.bob.image('sandbox:duration=60s sandbox:progress=99')[
            'task_id']
        low = a.bob.until(long, lambda d: d['progress'] > 0)['progress']
        task = b.bob.list(status='processing')['data'][0]
        t.eq(task['task_id'], long, 'one goes on')
        t.ok(low <= task['progress'] <= a.bob.document(long)['progress'],
             'with the progress that it has') or t.diag(task)
        b.bob.cancel(long)
        wait_for(lambda: ids(a.bob.list(status='cancelled')['data']) == [long],
                 20, 'a to list what b has cancelled')

        # what is not there

        r = b.bob.list(after='a' * 8 + long[8:])
        t.eq((r.status, r.error('param')), (400, 'after'), 'unknown after')
        r = b.bob.list(after=a.alice.image('x')['task_id'])
        t.eq((r.status, r.error('param')), (400, 'after'), 'foreign after')
        t.eq(b.robot.list().json(), {'object': 'list', 'data': [],
                                     'first_id': None, 'last_id': None,
                                     'has_more': False}, 'none')

        # what Redis has forgotten while nobody took it off the lists

        key, = redis.keys('conduit:*:task:' + made[30])
        redis.call('DEL', key)
        other, own = (a, b) if 30 * 7 % 3 % 2 else (b, a)
        t.ok(made[30] not in ids(pages(other.bob, 10)), 'one is gone')
        t.eq(len(ids(pages(other.bob, 10))), 60, 'the others are there')
        index = key.rsplit(':', 2)[0] + ':key:bob'
        wait_for(lambda: redis.call('ZSCORE', index, made[30]) is None, 20,
                 'it to be taken off the index')

        redis.stop()
        wait_for(lambda: b.bob.list().status == 503, 20, 'to notice')
        r = b.bob.list()
        t.eq((r.error(), r.header('retry-after')), ('store_unavailable', '5'),
             'without Redis')


def fill(redis, head):
    """An index of each shard with 200 ids of tasks that are not there, behind
    one that is; the names of the indexes."""

    names = []

    for n in range(64):
        shard = 'conduit:{%02d}' % n
        names.append(shard + ':key:bob')
        id = '%02x%06x-0000-4000-8000-%012x'
        ids = [id % (n, i, i) for i in range(201)]

        if head:
            redis.call('HSET', '%s:task:%s' % (shard, ids[0]), 'x', 1)

        for i in range(1 - head, 201):
            redis.call('ZADD', names[-1], i, ids[i])

    return names


def test_forgotten(t):
    """Nobody lists, and ids do not pile up: what hosts that are no more have
    left behind goes, too."""

    with Redis() as redis, \
            host(t, redis, 'a', workers=1,
                 http='conduit_task_ttl 1s;') as a:

        def left(name):
            return redis.call('ZCOUNT', name, 1, 200)

        for head in (0, 1):
            names = fill(redis, head)
            make(a.bob, 130)
            wait_for(lambda: min(map(left, names)) < 200, 30, 'a sweep')

            # groups of 32, of which the last one may have living ones; or 31
            # of the first one

            t.eq([n for n in map(left, names)
                  if (n not in (0, 8, 200), (200 - n) % 31)[head]], [],
                 'as many as there may')

            wait_for(lambda: a.metric('conduit_tasks', status='completed')
                     == 0, 30, 'all to be removed')

            t.eq({redis.call('ZCOUNT', name, 0, 0) for name in names}, {head},
                 'what is there stays')

            redis.call('DEL', *names)

        # what is alive is listed all the while

        task = a.bob.image('sandbox:duration=600s')['task_id']
        fill(redis, 0)
        make(a.bob, 130)
        wait_for(lambda: a.metric('conduit_tasks', status='completed') == 0,
                 30, 'all to be removed')
        t.eq(ids(pages(a.bob)), [task], 'the living one is listed')


run(test_many, test_mixed, test_forgotten)
