#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# webhooks of several hosts with one Redis: which is emptied, or away, and
# hosts that stand still

import os
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

from conduit_redis_hooks import *


def test_emptied(t):
    """Redis loses all: what has to be delivered is put into it again."""

    with Redis() as redis:
        conf = dict(http='conduit_webhook_timeout 100s;')
        b = host(t, redis, 'b', **conf)
        a = host(t, redis, 'a', b, **conf)
        sink = Sink()

        with b:
            with a:
                sink.script('/x', hold())
                task = a.fire(sink.url('/x'))
                first, = sink.wait('/x', 1)
                done = a.fire(sink.url('/done'))
                sink.wait('/done', 1)
                over(redis, done)

                redis.call('FLUSHALL')
                wait_for(lambda: courier(redis, task) == 'a'
                         and courier(redis, done) == '', 40,
                         'both in Redis again')
                t.eq(field(redis, task, 'b:' + first.id[4:]), first.body,
                     'with its body')
                a.kill_all()

            sink.script('/x', 200)
            hits = sink.wait('/x', 2, 40)
            t.eq(hits[1].id, first.id, 'b goes on with it')
            over(redis, task)
            t.eq(len(sink.hits('/x')), 2, 'once')
            t.eq(len(sink.hits('/done')), 1, 'the other one has ended')


def test_outage(t):
    """Redis is away while events come to be and are delivered."""

    with Redis() as redis:
        b = host(t, redis, 'b')
        a = host(t, redis, 'a', b, more='on_outage=local')
        sink = Sink()

        with a:
            with b:
                b.quit()

            redis.stop()
            wait_for(lambda: a.alice.get('/health').json()['status']
                     == 'Degraded', 20, 'degraded')
            sink.script('/later', 500, 500, 200)
            done = a.fire(sink.url('/done'))
            later = a.fire(sink.url('/later'))
            sink.wait('/done', 1)
            sink.wait('/later', 1)
            redis.start()
            over(redis, done)
            sink.wait('/later', 3, 40)
            over(redis, later)
            t.eq(len(sink.hits('/done')), 1, 'one is delivered once')
            t.eq(len(sink.hits('/later')), 3, 'the other goes on')


def test_paused(t):
    """A host that stands still loses its deliveries, and knows that."""

    with Redis() as redis, host(t, redis, 'b') as b, \
            host(t, redis, 'a', b) as a:
        down = Sink()
        down.default = 500
        more = [a.fire(down.url('/%d' % i)) for i in range(4)]
        down.wait(None, 4)

        for pid in a.workers():
            os.kill(pid, signal.SIGSTOP)

        try:
            for task in more:
                wait_for(lambda: courier(redis, task) == 'b', 40, 'takeover')

            down.default = 200
            begun = time.monotonic()

            for task in more:
                over(redis, task)

        finally:
            for pid in a.workers():
                os.kill(pid, signal.SIGCONT)

        for task in more:
            wait_for(lambda: [i['status'] for i in a.deliveries(task)]
                     == ['delivered'], 30, 'a to know it')

        for i, task in enumerate(more):
            hits = down.hits('/%d' % i)
            t.ok(len([hit for hit in hits if hit.at > begun]) <= 1,
                 'nothing confirmed is sent again')
            t.between(len(hits) - a.deliveries(task)[0]['attempts'], 0, 1,
                      'no attempt but the one that was on its way')


run(test_emptied, test_outage, test_paused)
