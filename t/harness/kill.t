#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# kill -9 of workers with tasks in flight: they go on in another worker
# within 5 s, jobs whose id is known are not submitted again, slots and
# leases come back.

import os
import random
import sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from conduit_api import *

TAKEOVER = 5.5


def limit(n):
    return lambda text: text.replace(
        'conduit_provider videos_compat {',
        'conduit_provider videos_compat {\n    limit concurrency=%d;' % n)


def kill(api, pids):
    """kill -9 of several workers at the same moment."""

    for pid in pids:
        api.killed.add(pid)
        os.kill(pid, signal.SIGKILL)

    wait_for(lambda: len(api.workers()) >= api.options['workers']
             and not set(pids) & set(api.workers()), what='new workers')


def check_known_id(t, api):
    """All workers die while jobs run at the provider."""

    p = api.provider
    p.script('known', poll=[{'state': 'processing', 'progress': 40,
                             'until': 'known'}, {}])
    tasks = [api.alice.video('script:known %d.' % i, 'sora-2')['task_id']
             for i in range(8)]
    for task in tasks:
        api.alice.until(task, lambda d: d['progress'] == 40)

    before = p.count('poll', 'script:known')
    kill(api, api.workers())
    died = time.monotonic()
    t.ok(p.wait(lambda p: {r.prompt for r in p.select('poll', 'known')
                           if r.time > died} == {
        'script:known %d.' % i for i in range(8)}, TAKEOVER * SLOW),
        'jobs are polled on within 5 s')
    t.ok(p.count('poll', 'script:known') > before, 'polls go on')
    p.release('known')
    ends = [api.alice.wait(task) for task in tasks]
    t.eq({d['status'] for d in ends}, {'completed'}, 'all complete')
    t.eq([p.count('submit', 'known %d.' % i) for i in range(8)], [1] * 8,
         'no job with a known id is submitted again')
    t.eq(p.count('cancel', 'known'), 0, 'nor cancelled')


def check_poll_in_flight(t, api):
    """The worker that waits for the reply to a poll dies."""

    p = api.provider
    p.script('deaf', poll=[{'hold': 'never'}, {}])
    task = api.alice.video('script:deaf poll', 'sora-2')['task_id']
    p.wait(lambda p: p.count('poll', 'deaf'))

    for pid in api.workers():
        kill(api, [pid])
        if p.wait(lambda p: any(r.aborted for r in p.select('poll',
                                                            'deaf')), 1):
            break

    died = time.monotonic()
    d = api.alice.wait(task)
    t.eq((d['status'], p.count('submit', 'deaf')), ('completed', 1),
         'a poll in flight')
    t.between(time.monotonic() - died, 0, TAKEOVER * BUSY,
              'is taken over within 5 s')


def check_submit_in_flight(t, api):
    """Without an id the task is submitted again, once."""

    p = api.provider
    p.script('open', submit=[{'hold': 'never'}, {}], poll=[{}])
    task = api.alice.video('script:open submit', 'sora-2')['task_id']
    p.wait(lambda p: p.count('submit', 'script:open'))
    kill(api, api.workers())
    died = time.monotonic()
    d = api.alice.wait(task)
    t.eq((d['status'], p.count('submit', 'script:open')), ('completed', 2),
         'a submit in flight is made again')
    t.between(time.monotonic() - died, 0, (TAKEOVER + 1.5) * BUSY,
              'within 5 s')


def check_download_in_flight(t, api):
    p = api.provider
    p.script('part', poll=[{}], download=[{'size': 1 << 20, 'drip':
                                           [1024, 0.05]}, {}])
    task = api.alice.video('script:part download', 'sora-2')['task_id']
    p.wait(lambda p: p.count('download', 'script:part'))
    kill(api, api.workers())
    d = api.alice.wait(task)
    t.eq((d['status'], p.count('submit', 'script:part')), ('completed', 1),
         'a download in flight')
    name = d['video_url'].rpartition('/')[2]
    t.eq(api.alice.get(d['video_url']).status, 200, 'its file is served')
    t.ok(name in os.listdir(api.path('media')), 'from the folder')


def check_others(t, api):
    """Tasks of the sandbox, of workers, of the queue; waiting clients."""

    sand = [api.alice.image('sandbox:duration=2s %d' % i)['task_id']
            for i in range(6)]
    gpu = api.alice.image('for a worker', 'gpu-image')['task_id']
    claim = api.robot.worker('claim', {'models': ['sdxl'], 'wait': 5})
    t.eq((claim.status, claim['task_id']), (200, gpu), 'claimed')
    kill(api, api.workers())
    r = api.robot.worker('tasks/%s/progress' % gpu,
                         {'progress': 30, 'lease_id': claim['lease_id']})
    t.eq(r.status, 200, 'a lease of the pull API outlives the workers')
    r = api.robot.worker('tasks/%s/complete' % gpu, {
        'data': [{'url': 'https://example.com/x.png'}],
        'lease_id': claim['lease_id']})
    t.eq(r.status, 200, 'to its end')
    t.eq({api.alice.wait(task)['status'] for task in sand}, {'completed'},
         'the sandbox goes on')

    d = api.alice.run(api.alice.image('sandbox:duration=50ms'))
    t.eq(d['status'], 'completed', 'new tasks run')


def check_random(t, api):
    """Random moments; most jobs have an id most of the time."""

    p = api.provider
    rng = random.Random(7)
    p.script('many', submit=[{}], poll=[
        {'state': 'processing', 'progress': 20, 'times': 4}, {}])
    tasks = [api.alice.video('script:many %d.' % i, 'sora-2')['task_id']
             for i in range(40)]

    for _ in range(5):
        time.sleep(rng.uniform(0.05, 0.4))
        kill(api, [rng.choice(api.workers())])

    ends = [api.alice.wait(task, 30) for task in tasks]
    t.eq({d['status'] for d in ends}, {'completed'},
         'random moments: all complete')
    # who has polled once has known the id

    first, again = {}, []
    for r in p.select('poll', 'script:many'):
        first.setdefault(r.prompt, r.time)
    for r in p.select('submit', 'script:many'):
        if r.time > first[r.prompt]:
            again.append(r.prompt)

    t.eq((len(first), again), (40, []),
         'only a submit in flight may be made again')


def check_slots(t, api):
    p = api.provider
    p.script('full', poll=[{'state': 'processing', 'until': 'end'}, {}])
    tasks = [api.alice.video('script:full %d' % i, 'sora-2')['task_id']
             for i in range(12)]
    t.ok(p.wait(lambda p: p.count('submit', 'script:full') >= 10),
         'all slots have come back')
    p.release('end')
    t.eq({api.alice.wait(task)['status'] for task in tasks}, {'completed'},
         'and serve')
    t.eq(p.count('submit', 'script:full'), 12, 'one submit each')


def check(t, workers):
    with Api(t, workers=workers, providers=['videos'], edit=limit(10),
             gpu=GPU.replace('lease 1s', 'lease 30s'), http=MEDIA,
             server='location /media/ { alias %%DIR%%/media/; }') as api:
        check_known_id(t, api)
        check_poll_in_flight(t, api)
        check_submit_in_flight(t, api)
        check_download_in_flight(t, api)
        check_others(t, api)
        check_random(t, api)
        check_slots(t, api)


def test_one_worker(t):
    check(t, 1)


def test_four_workers(t):
    check(t, 4)


run(test_one_worker, test_four_workers)
