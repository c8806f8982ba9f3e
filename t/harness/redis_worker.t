#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# pulling workers that report at another host than that which gave the task,
# and what a user of Redis has to be allowed for all that hosts share

import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

from conduit_hooks import *
from conduit_redis import *


LEASE = GPU.replace('lease 1s;', 'lease 12s; limit concurrency=4;')


def host(t, redis, name, like=None, **more):
    return make_host(Api, t, redis, name, like, gpu=LEASE, **more)


def claim(api, task):
    """The task has to be the only one."""

    got = wait_for(lambda: (lambda r: r if r.status == 200 else None)(
        api.robot.worker('claim', {'wait': 1})), 20, 'a claim')

    if got['task_id'] != task:
        raise AssertionError('claimed another task')

    return got


def make(api):
    return api.alice.image('a cat', 'gpu-image')['task_id']


def test_reports(t):
    with Redis() as redis, host(t, redis, 'a', workers=2) as a, \
            host(t, redis, 'b', a, workers=2) as b:

        done = {'data': [{'url': 'https://example.com/1.png'}]}

        # to and fro, as behind a balancer

        task = make(a)
        lease = claim(a, task)['lease_id']
        path = 'tasks/%s/' % task
        seen = []

        for i in range(1, 9):
            api = (b, a)[i % 2]
            r = api.robot.worker(path + 'progress',
                                 {'progress': 10 * i, 'lease_id': lease})
            seen.append((r.status, r.body))
            got = [x.alice.document(task)['progress'] for x in (a, b)]
            t.ok(max(got) == 10 * i, 'progress %d' % (10 * i)) \
                or t.diag(got)

        t.eq(set(seen), {(200, b'{"status":"processing"}')}, 'told to both')

        r = b.robot.worker(path + 'progress', {'progress': 5})
        t.eq((r.status, b.alice.document(task)['progress']), (200, 80),
             'never goes back')

        r = a.robot.worker(path + 'complete', done)
        t.eq(r.status, 200, 'completed at a')
        t.eq([x.alice.wait(task)['status'] for x in (a, b)],
             ['completed'] * 2, 'for both')
        r = b.robot.worker(path + 'complete', done)
        t.eq((r.status, r.error()), (409, 'task_terminal'), 'only once')

        # the first word at the other host is the last

        for i, (verb, body, end) in enumerate((
                ('complete', done, 'completed'),
                ('fail', {'error': 'It broke'}, 'failed'))):
            task = make(a)
            claim(a, task)
            r = b.robot.worker('tasks/%s/%s' % (task, verb), body)
            t.eq(r.status, 200, verb + ' at b')
            t.eq([x.alice.wait(task)['status'] for x in (b, a)], [end] * 2,
                 'seen at both')

        # a failure that may pass: the task waits where it has been told

        task = make(a)
        claim(a, task)
        r = b.robot.worker('tasks/%s/fail' % task, {
            'error': 'not now', 'retryable': True})
        t.eq(r.status, 200, 'fail for now')
        claim(b, task)
        t.ok(True, 'claimed again at b')

        # cancelled meanwhile

        a.alice.cancel(task)
        r = wait_for(lambda: (lambda r: r if b'cancelled' in r.body
                              else None)(
            a.robot.worker('tasks/%s/progress' % task, {'progress': 50})),
            20, 'cancelled')
        t.eq((r.status, r.json()), (200, {'status': 'cancelled'}),
             'the worker is told to stop')

        # what is not held

        task = make(a)
        first = claim(a, task)
        r = b.robot.worker('tasks/%s/progress' % task, {
            'progress': 1, 'lease_id': '1' + first['lease_id']})
        t.eq((r.status, r.error(), r.header('x-should-retry')),
             (409, 'lease_lost', 'false'), 'another lease')
        r = b.robot.worker('tasks/%s/progress' % task, {
            'progress': 1, 'lease_id': first['lease_id']})
        t.eq(r.status, 200, 'the right one')
        t.eq(a.robot.worker('tasks/%s/fail' % task, {}).status, 200, 'ended')

        task = make(a)
        r = b.robot.worker('tasks/%s/complete' % task, done)
        t.eq((r.status, r.error()), (409, 'lease_lost'), 'not claimed at all')
        a.alice.cancel(task)
        r = b.robot.worker('tasks/%s/complete' % ('0' * 8 + task[8:]), done)
        t.eq((r.status, r.error()), (404, 'task_not_found'), 'unknown')

        # a lease that runs out where it has gone

        task = make(a)
        claim(a, task)
        r = b.robot.worker('tasks/%s/progress' % task, {'progress': 30})
        t.eq(r.status, 200, 'b has it')
        claim(b, task)
        t.ok(True, 'until the lease runs out')
        b.robot.worker('tasks/%s/complete' % task, done)
        t.eq(a.alice.wait(task)['status'], 'completed', 'ended by the next')

        wait_for(lambda: [x.metric('conduit_provider_tasks_running',
                                   provider='gpu')
                          for x in (a, b)] == [0, 0], 20,
                 'no slot to be left over')


def test_slow(t):
    """What is slow or silent is no lost lease; one that is lost is told."""

    done = {'data': [{'url': 'https://example.com/1.png'}]}

    with Redis() as redis, RedisProxy(redis) as first, \
            RedisProxy(redis) as second, host(t, first, 'a') as a, \
            host(t, second, 'b', a, workers=2) as b:

        task = make(a)
        lease = claim(a, task)['lease_id']
        path = 'tasks/%s/' % task
        begun = time.monotonic()
        r = b.robot.worker(path + 'progress', {'progress': 1,
                                               'lease_id': '1' + lease})
        t.eq((r.status, r.error()), (409, 'lease_lost'), 'another lease')
        r = b.robot.worker(path + 'progress', {'progress': 10})
        t.eq(r.status, 200, 'progress at b')
        t.between(time.monotonic() - begun, 0, 1 * SLOW, 'without waiting')

        for proxy in (first, second):
            proxy.delay(1)

        r = a.robot.worker(path + 'progress', {'progress': 20}, timeout=60)
        t.eq(r.status, 200, 'progress at a with a slow Redis')
        r = b.robot.worker(path + 'progress', {
            'progress': 20, 'lease_id': '1' + lease}, timeout=60)
        t.eq((r.status, r.error()), (409, 'lease_lost'), 'another lease')

        for proxy in (first, second):
            proxy.delay(0)

        # a, which has it, is cut off; the next owner knows of the lease

        t.eq(a.robot.worker(path + 'progress', {'progress': 30}).status, 200,
             'a has it')
        first.mute()
        seen = []

        while 200 not in seen and len(seen) < 6:
            r = b.robot.worker(path + 'complete', done, timeout=60)
            seen.append(r.status)

            if r.status not in (200, 503):
                break

            t.ok(r.status == 200 or r.header('retry-after'), 'Retry-After')

        t.eq(set(seen) - {503}, {200}, 'it is not lost')
        first.heal()


def test_many(t):
    """One worker reports at three hosts at the same time."""

    with Redis() as redis, host(t, redis, 'a', workers=2) as a, \
            host(t, redis, 'b', a, workers=2) as b, \
            host(t, redis, 'c', a, workers=2) as c:

        task = make(a)
        lease = claim(a, task)['lease_id']
        replies = parallel(lambda n: (a, b, c)[n % 3].robot.worker(
            'tasks/%s/progress' % task,
            {'progress': n, 'lease_id': lease}, timeout=60), range(90), 9)
        t.eq({r.status for r in replies} - {503}, {200},
             'none is told that the lease is lost')
        r = b.robot.worker('tasks/%s/fail' % task, {'error': 'no'})
        t.eq(r.status, 200, 'the end')
        t.eq({api.alice.wait(task)['status'] for api in (a, b, c)},
             {'failed'}, 'everywhere')


def allowed():
    """What README.md says about users with an ACL."""

    with open(os.path.join(TOP, 'README.md')) as f:
        text = re.search(r'A user with an ACL needs the commands (.*?)'
                         r' and `unsubscribe`', f.read(), re.S).group(1)

    return ' '.join('+' + word for word in re.findall(r'`([a-z|]+)`', text)
                    + ['unsubscribe'])


def test_acl(t):
    """No more is needed than the README says."""

    sink = Sink()

    with Redis(acl=('gate', 'p'), may=allowed(),
               conf='user admin on >p ~* &* +@all\n') as redis, \
            make_host(Hooks, t, redis, 'a', gpu=LEASE) as a, \
            make_host(Hooks, t, redis, 'b', a, gpu=LEASE) as b:

        key = {'Idempotency-Key': 'one'}
        task = a.fire(sink.url('/hook'))
        sink.wait('/hook', 1, 30)
        t.eq(b.alice.wait(task)['status'], 'completed', 'made and told')
        made = b.alice.sync('x', headers=key)
        again = wait_for(lambda: (lambda r: r if r.status != 409 else None)(
            a.alice.sync('x', headers=key)), 20, 'a to know the end')
        t.eq(made.body, again.body, 'twice the same')
        t.ok(task in {x['task_id'] for x in b.alice.list()['data']}, 'listed')
        task = a.alice.image('sandbox:duration=60s')['task_id']
        t.eq(b.alice.cancel(task)['status'], 'cancelled', 'cancelled')
        task = make(a)
        claim(a, task)
        t.eq(b.robot.worker('tasks/%s/fail' % task, {}).status, 200,
             'reported')
        t.eq(b.alice.retry(task).status, 202, 'tried again')

        c = Client(redis.address(), ('admin', 'p'))
        denied = c.call('ACL', 'LOG')
        c.close()
        t.eq({entry[7] for entry in denied} - {b'cluster|slots'}, set(),
             'nothing was denied but a question that only a cluster answers')


run(test_reports, test_slow, test_many, test_acl)
