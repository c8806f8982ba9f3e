#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# Many hub connections: ten thousand of them held, a reload and a dead worker
# under them, and the limit for a key when all come at once.

import os
import sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from conduit_api import *
from conduit_crowd import *
from conduit_hub import TASKS_HUB

WANTED = 1000 if SANITIZE else 10000
N = crowd_size(WANTED)

HELD = GPU.replace('lease 1s', 'lease 600s')

MAIN = '''
    worker_rlimit_nofile %d;
    worker_shutdown_timeout 60s;
''' % crowd_size(N + 1000, 0)

LIMITS = 'conduit_connections per_key=%d total=%d;' % (2 * N, 2 * N)


def running(api):
    task = api.alice.image('x', 'gpu-image')['task_id']
    api.robot.worker('claim', {})
    return task


def crowd(api, task):
    return Crowd(api, [task], UPGRADE % (TASKS_HUB, api.alice.key), HELLO,
                 publish(WORKER + 'tasks/{id}/progress', api.robot.key,
                         '{"progress":10,"message":"{n}"}'))


def finish(api, task):
    r = api.robot.worker('tasks/%s/complete' % task, {
        'data': [{'url': 'https://example.com/a.png'}]})

    if r.status != 200:
        raise AssertionError(repr(r))


def share(api):
    total = 0

    for pid in api.workers():
        with open('/proc/%d/smaps_rollup' % pid) as f:
            total += sum(int(line.split()[1]) * 1024 for line in f
                         if line.startswith('Pss:'))

    return total


def test_held(t):
    if N < WANTED:
        print('# only %d connections: the limit of open files is %d'
              % (N, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))

    with Api(t, gpu=HELD, workers=2, main=MAIN, http=LIMITS,
             connections=N + 500) as api:
        task = running(api)
        before = share(api)

        with crowd(api, task) as many:
            t.eq(many.do('open', N, 256, TOLD)['open'], N, 'all are open')
            t.eq(api.metric('conduit_hub_connections'), N, 'and counted')

            grown = (share(api) - before) / N
            t.ok(SANITIZE or grown < 3072,
                 'a connection takes %d bytes' % grown)

            got = many.do('publish', 3, 0, 1)
            t.eq((got['messages'], got['lost'], got['repeated']),
                 (3 * N, 0, 0), 'each change is told to each once')

            reload(t, api, many, task)

        wait_for(lambda: api.metric('conduit_hub_connections') == 0)
        t.ok(True, 'all seats are given back')


def reload(t, api, many, task):
    """All are told to come again, do so, and none misses the end."""

    many.do('again', 'on')
    api.reload()
    finish(api, task)

    got = many.do('wait', 1, 60 * SLOW)
    t.ok(got['least'] == 1, 'each has seen the end')

    def back():
        got = many.do('idle', 200)
        return got['again'] >= N and got['open'] >= N \
            and not api.old_workers()

    wait_for(back, 60 * SLOW, 'all to be back')

    got = many.do('idle', 200)
    t.eq([got[name] for name in ('open', 'closed', 'goodbyes', 'again')],
         [N] * 4, 'each was told to come again, and has')
    t.eq((got['broken'], got['failed'], got['refused']), (0, 0, 0),
         'nothing else has happened')
    t.diag('%d saw the end in a worker that was on its way out' % got['told'])
    t.eq(api.metric('conduit_hub_connections'), N, 'counted once')


def left(api, many, n):
    """How many are open, once some are not, and the server agrees."""

    open_now = many.do('idle', 100)['open']
    seats = api.metric('conduit_hub_connections')

    return open_now if seats == open_now < n else None


def test_killed(t):
    n = crowd_size(400)

    with Api(t, gpu=HELD, workers=4, main=MAIN, connections=2 * n,
             http='conduit_connections per_key=%d;' % n) as api:
        task = running(api)

        with crowd(api, task) as many:
            many.do('open', n, 64, TOLD)
            t.eq(api.metric('conduit_hub_connections'), n, 'the key is full')

            api.kill_worker()
            open_now = wait_for(lambda: left(api, many, n), 5 * SLOW,
                                'the seats of those that were lost')
            t.ok(True, '%d were lost, and are not counted any more'
                 % (n - open_now))

            got = many.do('open', n - open_now + 10, 64, TOLD)
            t.eq((got['open'], got['limited']), (n, 10),
                 'there is room for so many again')

            finish(api, task)
            many.do('wait', 1, 60 * SLOW)
            t.eq(many.do('idle', 100)['ends'], n, 'and all are served')


def test_limit(t):
    with Api(t, gpu=HELD, workers=4) as api:
        task = running(api)

        for _ in range(5):
            with crowd(api, task) as many:
                got = many.do('open', 200, 200, TOLD)
                t.eq((got['open'], got['limited'], got['failed']),
                     (100, 100, 0), 'a hundred of two hundred at once')
                t.eq(api.metric('conduit_hub_connections'), 100, 'counted')

            wait_for(lambda: api.metric('conduit_hub_connections') == 0)


run(test_held, test_killed, test_limit)
