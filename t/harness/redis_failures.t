#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# Redis full, read-only, failing over under load; a host that dies while a
# provider has its job

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

from conduit_api import *
from conduit_redis import *


def host(t, redis, name, like=None, **more):
    return make_host(Api, t, redis, name, like, **more)


def refused(redis):
    """How many commands a full Redis has refused."""

    text = redis.call('INFO', 'errorstats').decode()
    return int((re.findall(r'errorstat_OOM:count=(\d+)', text) or [0])[0])


def test_full(t):
    with Redis() as redis, host(t, redis, 'a') as a:
        ended = a.alice.image('sandbox:duration=0')['task_id']
        a.alice.wait(ended)
        task = a.alice.image('sandbox:duration=6s')['task_id']
        a.alice.until(task, lambda d: d['status'] == 'processing')

        redis.call('CONFIG', 'SET', 'maxmemory', '1')
        reply = a.alice.image('x')
        t.eq((reply.status, reply.error()), (503, 'store_unavailable'),
             'full: a create is refused')
        t.eq(a.alice.status(ended).status, 200, 'polls go on')
        t.eq(a.alice.status(task).status, 200, 'of all tasks')

        # all that it says now is that it cannot say that

        before = refused(redis)
        wait_for(lambda: refused(redis) > before, 20, 'the end')
        t.eq(a.alice.document(task)['status'], 'processing',
             'no end is told that is not kept')

        redis.call('CONFIG', 'SET', 'maxmemory', '0')
        t.eq(a.alice.wait(task)['status'], 'completed',
             'it comes when there is room')
        t.eq(a.alice.run(a.alice.image('x'))['status'], 'completed',
             'and all goes on')


def test_readonly(t):
    with Redis() as other, Redis() as redis, host(t, redis, 'a') as a:
        ended = a.alice.image('sandbox:duration=0')['task_id']
        a.alice.wait(ended)

        redis.call('REPLICAOF', '127.0.0.1', other.port)

        reply = wait_for(lambda: (lambda r: r.status == 503 and r)(
            a.alice.image('sandbox:duration=0')), 20, 'a refusal')
        t.eq(reply.error(), 'store_unavailable', 'a replica: no creates')
        t.eq(a.alice.status(ended).status, 200, 'polls go on')
        wait_for(lambda: a.alice.get('/health')['status'] == 'Degraded', 20,
                 'health')

        redis.call('REPLICAOF', 'NO', 'ONE')
        reply = wait_for(lambda: (lambda r: r.status == 202 and r)(
            a.alice.image('x')), 30, 'a create')
        t.eq(a.alice.run(reply)['status'], 'completed', 'a master again')


def test_sentinel(t):
    """Whatever was accepted while a replica takes over ends everywhere."""

    with Redis() as one, Redis(replica_of=one) as two, \
            Sentinels(one) as sentinels:

        wait_for(sentinels.replicas, 30, 'the sentinel to see the replica')

        class Place:
            url = 'redis://' + sentinels.name

        more = 'sentinel=' + sentinels.list
        accepted, stop = [], threading.Event()

        with host(t, Place, 'a', more=more) as a, \
                host(t, Place, 'b', a, more=more) as b:

            def create(api):
                while not stop.wait(0.05):
                    r = api.alice.image('sandbox:duration=1s', size='16x16')
                    if r.status == 202:
                        accepted.append(r['task_id'])

            threads = [threading.Thread(target=create, args=(api,))
                       for api in (a, b)]

            for thread in threads:
                thread.start()

            wait_for(lambda: len(accepted) > 20, 20, 'load')
            wait_for(lambda: two.info('master_link_status') == 'up', 30,
                     'the replica to follow')
            one.stop()
            before = len(accepted)
            wait_for(lambda: two.call('ROLE')[0] == b'master', 60,
                     'a failover')
            wait_for(lambda: len(accepted) > before + 20, 60 * SLOW,
                     'more of it')
            stop.set()

            for thread in threads:
                thread.join()

            # what the replica has not got is put again by whoever has it

            wait_for(lambda: all(api.alice.status(task).status == 200
                                 for task in accepted for api in (a, b)),
                     20, 'all to be known', pause=0.2)

            wrong = [task for task in accepted for api in (a, b)
                     if api.alice.wait(task, 30)['status'] != 'completed']
            t.eq(wrong[:3], [], 'all %d accepted tasks end, at both hosts'
                 % len(accepted))


def test_upstream(t):
    provider = Provider().start()
    conf = dict(http=MEDIA, providers=['videos'], provider=provider)

    with Redis() as redis, host(t, redis, 'b', **conf) as b:
        with host(t, redis, 'a', b, **conf) as a:
            task = a.alice.video('script:held it.', 'sora-2')['task_id']
            provider.wait(lambda p: p.count('poll', 'script:held it.') >= 2)
            killed = time.monotonic()
            a.kill_all()

            polls = provider.count('poll', 'script:held it.')
            provider.wait(lambda p: p.count('poll', 'script:held it.')
                          > polls + 1, TAKEOVER)
            t.between(time.monotonic() - killed, 0, TAKEOVER,
                      'the job is polled again in time')
            taken_over(t, [task], killed, b)
            provider.release('go')
            t.eq(b.alice.wait(task, 30)['status'], 'completed',
                 'b asks for the job of a')
            t.eq(provider.count('submit', 'script:held it.'), 1,
                 'and does not submit another one')

    provider.stop()


def test_again(t):
    """Taken over twice, and but for progress nothing happens in between."""

    provider = Provider().start()
    provider.script('climb', poll=[{'state': 'processing', 'progress': n}
                                   for n in range(1, 99)])
    conf = dict(http=MEDIA, providers=['videos'], provider=provider)

    seen = {}

    def watch(api, task, more=3):
        """So many documents that nobody has told so far."""

        before = len(seen)

        def enough():
            r = api.alice.status(task)

            if r.status == 200:
                seen.setdefault(r['sequence'], set()).add(r['progress'])

            return len(seen) >= before + more

        wait_for(enough, 60, 'progress')

    with Redis() as redis:
        with host(t, redis, 'a', **conf) as a, \
                host(t, redis, 'c', a, **conf) as c:

            with host(t, redis, 'b', a, **conf) as b:
                task = b.alice.video('script:climb it.', 'sora-2')['task_id']
                watch(b, task)
                b.kill_all()

            hosts = [a, c]
            wait_for(lambda: [api for api in hosts if 'took over task '
                              + task in api.error_log()], 40, 'a takeover')

            if 'took over task ' + task in c.error_log():
                hosts.reverse()

            # more than will be missed of the next one, which has no copy

            watch(hosts[0], task, 20)
            hosts[0].kill_all()
            wait_for(lambda: 'took over task ' + task
                     in hosts[1].error_log(), 40, 'another takeover')
            watch(hosts[1], task)
            t.eq({number: told for number, told in seen.items()
                  if len(told) > 1}, {}, 'no sequence is used twice')
            hosts[1].alice.cancel(task)

    provider.stop()


run(test_full, test_readonly, test_sentinel, test_upstream, test_again)
