#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# A store that is full, or cannot write: new tasks are refused clearly, polls
# go on, nothing that was kept is lost, and it goes on when there is room.

import os
import resource
import sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from conduit_api import *

LEASED = GPU.replace('lease 1s', 'lease 60s')
TINY = 'conduit_store %%DIR%%/store max_size=1m;'


def fill(t, api, metadata, limit=4000):
    """Creates until one is refused: (ids, the refusal)."""

    tasks = []

    for i in range(limit):
        r = api.alice.image('fill', 'gpu-image', metadata=metadata)

        if r.status != 202:
            return tasks, r

        tasks.append(r['task_id'])

    raise AssertionError('the store has no end')


def test_max_size(t):
    with Api(t, workers=1, gpu=LEASED, sandbox='', http=TINY + '''
             conduit_task_limit per_key=100000 total=100000;
             conduit_task_ttl 7s;''') as api:
        c = api.alice
        tasks, r = fill(t, api, {'text': 'x' * 1000})
        t.ok(len(tasks) > 100, '%d tasks fit' % len(tasks))
        t.eq((r.status, r.error(), r.header('retry-after') is not None),
             (503, 'store_unavailable', True), 'then a clear refusal')
        t.eq(len(re.findall(r'\[crit\].*conduit_store.*max_size is reached',
                            api.error_log())), 1, 'told once in the log')
        t.eq(c.get('/health').json()['checks']['store']['status'],
             'Degraded', 'health says so')
        t.eq(api.metric('conduit_store_failing'), 1, 'so does a metric')
        t.eq({c.document(task)['status'] for task in tasks[::10]},
             {'pending'}, 'polls go on')
        t.eq(c.cancel(tasks[0]).status, 200, 'a task can be cancelled')
        claimed = api.robot.worker('claim')['task_id']
        r = api.robot.worker('tasks/%s/complete' % claimed, {
            'data': [{'url': 'https://example.com/a.png'}]})
        t.eq(r.status, 200, 'or completed')
        ended = [c.document(tasks[0]), c.document(claimed)]
        api.kill_all()
        api.start()
        t.eq(api.metric('conduit_store_loaded_tasks'), len(tasks),
             'nothing was lost')
        t.eq([c.document(d['task_id']) for d in ended], ended,
             'nor how two have ended')

        # room comes back with the end of their time

        for task in tasks[1:]:
            if task != claimed:
                c.cancel(task)

        def again():
            r = c.image('again', 'gpu-image')
            return r.status == 202 and r['task_id']

        task = wait_for(again, 20 * SLOW, 'room', 0.2)
        t.like(api.error_log(), 'keeps what is new again', 'told as well')
        size = os.path.getsize(api.path('store/data.mdb'))
        t.ok(size <= 1 << 20, 'the file has kept to its size') or t.diag(size)
        wait_for(lambda: c.status(tasks[-1]).status == 404, 20 * SLOW,
                 'the end of their time')

        # again and again: the file does not grow for ever

        for i in range(3):
            more, r = fill(t, api, {'text': 'y' * 1000})
            t.ok(len(more) > 50, 'room for %d more' % len(more))
            for task in more:
                c.cancel(task)
            wait_for(lambda: c.status(more[-1]).status == 404, 20 * SLOW,
                     'their end')


def test_disk(t):
    """Writes fail, as on a full disk."""

    with Api(t, workers=1, http='conduit_store %%DIR%%/store;',
             server='access_log off;') as api:
        c = api.alice
        done = c.run(c.image('sandbox:duration=10ms'))
        slow = c.image('sandbox:duration=5s')['task_id']
        c.until(slow, lambda d: d['status'] == 'processing')
        pid = api.workers()[0]
        size = os.path.getsize(api.path('store/data.mdb'))
        no = resource.RLIM_INFINITY

        # no file of this process may have more than a page

        resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, no))
        r = c.image('sandbox:duration=10ms')
        t.eq((r.status, r.error()), (503, 'store_unavailable'), 'refused')
        t.eq(c.document(done['task_id']), done, 'polls go on')
        r = c.cancel(slow)
        t.eq((r.status, r.error()), (503, 'store_unavailable'),
             'a cancel that cannot be kept is refused')
        failures = api.metric('conduit_store_failures_total')
        wait_for(lambda: api.metric('conduit_store_failures_total')
                 > failures, what='its end')
        t.eq(c.document(slow)['status'], 'processing',
             'an end that cannot be kept is not told')
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (no, no))
        t.eq(c.wait(slow)['status'], 'completed', 'it is when it can')
        t.eq(c.run(c.image('sandbox:duration=10ms'))['status'], 'completed',
             'new tasks are accepted again')
        t.eq(api.workers(), [pid], 'the worker is the same')
        d = c.document(slow)
        api.kill_all()
        api.start()
        t.eq([c.document(done['task_id']), c.document(slow)], [done, d],
             'all is kept')


run(test_max_size, test_disk)
