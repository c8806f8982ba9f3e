#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# webhooks of several hosts with one Redis: what one host has to deliver is
# delivered by another when it has gone, and nothing is delivered twice

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

from conduit_redis_hooks import *


def test_one_host(t):
    with Redis() as redis, host(t, redis, 'a') as a:
        sink = Sink()
        before = redis.calls()
        task = a.fire(sink.url('/a'))
        hit, = sink.wait('/a', 1)
        over(redis, task)
        t.diag('calls %d' % (redis.calls() - before))

        line = field(redis, task, 'e:' + hit.id[4:]).decode().split()
        t.eq(line[0], '2', 'kept as delivered')
        t.eq(line[3], '1', 'after one attempt')
        t.eq(field(redis, task, 'b:' + hit.id[4:]), hit.body, 'and its body')


def test_killed(t):
    """One that has been delivered, one that waits for its next attempt, one
    that is on its way, and one that is parked."""

    # the second attempt comes when b has taken over

    conf = dict(first='12s', http='conduit_webhook_timeout 60s;')

    with Redis() as redis, host(t, redis, 'b', **conf) as b:
        a = host(t, redis, 'a', b, **conf)
        sink, down = Sink(), Sink()
        down.refuse()

        with a:
            done = a.fire(sink.url('/done'))
            sink.wait('/done', 1)
            over(redis, done)

            sink.script('/later', 500, 500, 200)
            later = a.fire(sink.url('/later'))
            sink.script('/held', hold())
            held = a.fire(sink.url('/held'))
            first, = sink.wait('/held', 1)
            sink.wait('/later', 1)

            parked = [a.fire(down.url('/parked')) for _ in range(7)]
            wait_for(lambda: a.deliveries(status='parked'), 30, 'a breaker')

            wait_for(lambda: field(redis, later, 'e:'
                                   + sink.hits('/later')[0].id[4:])
                     .split()[3] == b'1', 10, 'the first attempt in Redis')
            killed = time.monotonic()
            a.kill_all()

        sink.script('/held', 200)
        down.accept()

        # from the kill on; both of them are due by then

        hits = sink.wait('/held', 2, 40)
        t.between(hits[1].at - killed, 0, TAKEOVER, 'taken over in time')
        t.eq(hits[1].id, first.id, 'what was on its way is sent again')
        t.eq(hits[1].body, first.body, 'as it was')

        hits = sink.wait('/later', 3, 40)
        t.between(hits[1].at - killed, 0, TAKEOVER, 'the schedule goes on')
        t.eq(len({hit.id for hit in hits}), 1, 'the other one goes on')

        down.wait('/parked', 7, 60)
        t.between(max(hit.at for hit in down.hits()) - killed, 0, TAKEOVER,
                  'what was parked does not wait for a breaker that is gone')

        for task in [later, held] + parked:
            over(redis, task)

        t.eq(len(sink.hits('/done')), 1, 'nothing confirmed is sent again')
        t.eq(len(sink.hits('/held')), 2, 'once more is enough')
        t.eq(len(sink.hits('/later')), 3, 'no attempt too many')
        t.eq(len({hit.id for hit in down.hits()}), 7, 'all parked ones came')
        t.eq(len(down.hits()), 7, 'once')


def test_all_killed(t):
    with Redis() as redis:
        sink = Sink()
        sink.script('/x', 500, 200)
        a = host(t, redis, 'a', first='8s')
        b = host(t, redis, 'b', a, first='8s')

        with a, b:
            done = b.fire(sink.url('/done'))
            sink.wait('/done', 1)
            over(redis, done)
            task = a.fire(sink.url('/x'))
            first, = sink.wait('/x', 1)
            wait_for(lambda: courier(redis, task) == 'a', 10, 'the event')
            a.kill_all()
            b.kill_all()

            # the same instance comes back, with an empty zone

            a.start()
            hits = sink.wait('/x', 2, 40)
            t.eq(hits[1].id, first.id, 'delivered after all')
            over(redis, task)
            t.eq(len(sink.hits('/x')), 2, 'once')
            t.eq(len(sink.hits('/done')), 1, 'the other one stays as it is')
            wait_for(lambda: a.alice.document(task)['webhook']['status']
                     == 'delivered', 20, 'the document to tell it')


run(test_one_host, test_killed, test_all_killed)
