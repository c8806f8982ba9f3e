#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# Provider concurrency and rpm over all workers, order and fairness of the
# queue, queue_position, and the limits of tasks.

import os
import sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from conduit_api import *


def limit(text):
    return lambda blocks: blocks.replace(
        'conduit_provider videos_compat {',
        'conduit_provider videos_compat {\n    limit %s;' % text)


def video(client, name, script='quick'):
    r = client.video('script:%s %s.' % (script, name), 'sora-2')
    if r.status != 202:
        raise AssertionError(repr(r))
    return r


def check_concurrency(t, workers):
    with Api(t, workers=workers, providers=['videos'],
             edit=limit('concurrency=3'), http=MEDIA) as api:
        p = api.provider
        tasks = parallel(lambda i: video(api.alice, i, 'ok')['task_id'],
                         range(24), 8)
        ends = {api.alice.wait(task, 30)['status'] for task in tasks}
        t.eq(ends, {'completed'}, '%d workers: all complete' % workers)
        t.eq(p.peaks['videos'], 3,
             '%d workers: never more than 3, and 3' % workers)
        t.eq(p.count('submit'), 24, '%d workers: one submit each' % workers)


def test_concurrency(t):
    for workers in (1, 2, 4):
        check_concurrency(t, workers)


def test_sync_concurrency(t):
    with Api(t, workers=2, providers=['openai'], edit=lambda text:
             text.replace('timeout     submit=300s;',
                          'limit concurrency=2;')) as api:
        p = api.provider
        p.script('short', submit=[{'delay': 0.1}])
        replies = parallel(lambda i: api.alice.sync(
            'script:short %d' % i, 'dall-e-3'), range(12), 12)
        t.eq({r.status for r in replies}, {200}, 'sync: all are served')
        t.eq(p.peaks['openai'], 2, 'sync: never more than 2')


def positions(client, tasks):
    return [client.document(task)['queue_position'] for task in tasks]


def test_queue(t):
    with Api(t, workers=2, providers=['videos'],
             edit=limit('concurrency=1'), http=MEDIA) as api:
        p = api.provider
        p.script('first', poll=[{'state': 'processing', 'until': 'go'}, {}])
        first = video(api.alice, 'head', 'first')
        t.eq(first['queue_position'], None, 'it starts at once')
        p.wait(lambda p: p.count('poll'))
        t.eq(api.alice.document(first['task_id'])['queue_position'], None,
             'no position while it runs')

        replies = [video(api.alice, 'a%d' % i) for i in range(5)]
        tasks = [r['task_id'] for r in replies]
        t.eq([r['queue_position'] for r in replies], [1, 2, 3, 4, 5],
             'positions at create')
        t.eq(positions(api.alice, tasks), [1, 2, 3, 4, 5],
             'positions of status')
        t.eq({api.alice.document(x)['status'] for x in tasks}, {'pending'},
             'they wait')

        r = api.alice.status(tasks[2])
        api.alice.cancel(tasks[1])
        t.eq(positions(api.alice, tasks), [1, None, 2, 3, 4],
             'those behind a cancelled one move up')
        again = api.alice.status(tasks[2])
        t.eq(again.header('etag'), r.header('etag'),
             'a position is not covered by the ETag')
        again = api.alice.list(limit=4)
        t.eq([d['queue_position'] for d in again['data']], [4, 3, 2, None],
             'positions in the list')

        p.release('go')
        for i, task in enumerate(tasks):
            api.alice.wait(task)
        order = [r.prompt.split()[1] for r in p.select('submit')]
        t.eq(order, ['head.', 'a0.', 'a2.', 'a3.', 'a4.'],
             'first come, first served')
        t.eq(p.count(None, 'a1.'), 0,
             'no call for what was cancelled in the queue')


def test_fairness(t):
    with Api(t, workers=2, providers=['videos'],
             edit=limit('concurrency=1'), keys={'carol': ''},
             http=MEDIA) as api:
        p = api.provider
        p.script('first', poll=[{'state': 'processing', 'until': 'go'}, {}])
        video(api.alice, 'head', 'first')
        p.wait(lambda p: p.count('poll'))
        made = [(api.alice, video(api.alice, 'a%d' % i)['task_id'])
                for i in range(12)]
        bob = [video(api.bob, 'b%d' % i)['task_id'] for i in range(3)]
        carol = [video(api.carol, 'c%d' % i)['task_id'] for i in range(3)]
        at = positions(api.bob, bob) + positions(api.carol, carol)
        t.ok(at[0] <= 3 and at[3] <= 4 and max(at) <= 10,
             'other keys are not behind a long queue') or t.diag(at)
        every = at + positions(api.alice, [task for _, task in made])
        t.eq(sorted(every), list(range(1, 19)), 'positions are exact')

        p.release('go')
        made += [(api.bob, x) for x in bob] + [(api.carol, x) for x in carol]
        ends = {client.wait(task, 30)['status'] for client, task in made}
        t.eq(ends, {'completed'}, 'all complete')
        order = [r.prompt.split()[1] for r in p.select('submit')][1:]
        t.eq([order.index('b%d.' % i) + 1 for i in range(3)]
             + [order.index('c%d.' % i) + 1 for i in range(3)], at,
             'the queue is served by position') or t.diag(order)


def test_rpm(t):
    with Api(t, workers=4, providers=['videos'], edit=limit('rpm=6'),
             http=MEDIA) as api:
        p = api.provider
        tasks = [video(api.alice, i)['task_id'] for i in range(9)]
        p.wait(lambda p: p.count('submit') >= 6, 3)
        started = p.count('submit')
        for task in tasks:
            api.alice.document(task)
        d = api.alice.until(tasks[-1], lambda d: d['status'] != 'pending',
                            2)
        t.between(p.count('submit'), 1, 6, 'rpm over all workers')
        t.eq(d['status'], 'pending', 'the others wait')
        t.ok(started >= 1, 'some start')
        for task in tasks:
            api.alice.cancel(task)


def test_full_queue(t):
    with Api(t, workers=2, providers=['videos'],
             edit=limit('concurrency=1 queue=2'), keys={'few': 'tasks 2;'},
             http=MEDIA + 'conduit_task_limit per_key=100 total=8;') as api:
        p = api.provider
        replies = [api.alice.video('script:held %d' % i, 'sora-2')
                   for i in range(4)]
        t.eq([r.status for r in replies], [202, 202, 202, 503],
             'limit queue=')
        r = replies[-1]
        t.eq((r.error(), r.error('type')), ('queue_full', 'server_error'),
             'queue_full')
        t.ok(r.header('retry-after') and r.header('retry-after-ms'),
             'with Retry-After')

        few = [api.few.image('sandbox:duration=60s') for _ in range(3)]
        t.eq([r.status for r in few], [202, 202, 429], 'tasks of a key')
        t.eq((few[2].error(), few[2].error('type')),
             ('too_many_tasks', 'rate_limit_error'), 'too_many_tasks')
        t.ok(few[2].header('retry-after'), 'with Retry-After')

        more = [api.bob.image('sandbox:duration=60s') for _ in range(4)]
        t.eq([r.status for r in more], [202, 202, 202, 503],
             'tasks in all')
        t.eq((more[3].error(), more[3].error('type')),
             ('too_many_tasks', 'server_error'), 'too_many_tasks')

        for r in few[:2]:
            api.few.cancel(r['task_id'])
        t.eq(api.few.image('again').status, 202, 'after a cancel')
        p.release('go')
        for r in replies[:3]:
            api.alice.wait(r['task_id'])
        t.eq(api.alice.video('script:quick', 'sora-2').status, 202,
             'after the end of others')


def test_rate(t):
    """One bucket per key over all workers."""

    with Api(t, workers=4, rate='60r/m burst=10',
             keys={'fast': 'rate 6000r/m burst=500;'}) as api:
        data = api.alice.encode('GET', TASKS)
        began = time.monotonic()
        replies = together(api.port(), [data] * 40)
        took = time.monotonic() - began
        good = [r for r in replies if r.status == 200]
        late = [r for r in replies if r.status == 429]
        t.eq(len(good) + len(late), 40, '200 and 429 only')
        t.between(len(good), 10, 12 + took, 'the burst of a key')
        r = late[-1]
        t.eq((r.error(), r.error('type')),
             ('rate_limit_exceeded', 'rate_limit_error'), '429')
        t.ok(int(r.header('retry-after')) >= 1
             and int(r.header('retry-after-ms')) >= 1, 'Retry-After')
        t.eq(r.header('ratelimit-policy'), '"default";q=10;w=10',
             'RateLimit-Policy')
        t.like(r.header('ratelimit') or '', r'^"default";r=0;t=\d+$',
               'RateLimit')
        t.eq((r.header('x-ratelimit-limit'),
              r.header('x-ratelimit-remaining')), ('10', '0'),
             'X-RateLimit-*')
        t.eq(api.bob.list().status, 200, 'other keys are not charged')
        t.eq({api.fast.list().status for _ in range(50)}, {200},
             'the rate of a key')
        t.eq(api.alice.get('/health').status, 200, 'health is free')


run(test_concurrency, test_sync_concurrency, test_queue, test_fairness,
    test_rpm, test_full_queue, test_rate)
