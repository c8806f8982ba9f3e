#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# hosts whose clocks differ by up to 10 seconds: leases, lists, tokens, times

import datetime
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

from conduit_hooks import *
from conduit_hub import *
from conduit_redis import *

AHEAD = {'a': 5000, 'b': 0, 'c': -5000}
TTL = 600

# in Redis, from the start: until the TTL after the last moment of a task ends

LIFE = 1800 + TTL + 60


def host(t, redis, library, name, like=None):
    return make_host(Hooks, t, redis, name, like, workers=1,
                     http='conduit_task_ttl %ds;' % TTL,
                     env={'LD_PRELOAD': library,
                          'CONDUIT_CLOCK': str(AHEAD[name])})


def seconds(text):
    return datetime.datetime.fromisoformat(
        text.replace('Z', '+00:00')).timestamp()


def shown(api, task):
    """Without how its webhook stands, which changes afterwards."""

    return dict(api.alice.document(task), webhook=None)


def lease(redis, task):
    """When it ends, by the clock of Redis, which is that of the test."""

    for key in redis.keys('conduit:*:leases'):
        for member in redis.call('ZRANGE', key, 0, -1):
            if member.decode().endswith(task):
                return float(redis.call('ZSCORE', key, member)) / 1000

    raise AssertionError('no lease')


def test_clocks(t):
    library = clock()
    sink = Sink()

    with Redis() as redis, host(t, redis, library, 'a') as a, \
            host(t, redis, library, 'b', a) as b, \
            host(t, redis, library, 'c', a) as c:

        hosts = {'a': a, 'b': b, 'c': c}

        # they are alive for longer than a lease lasts

        kept = {name: api.alice.image('sandbox:duration=600s')['task_id']
                for name, api in hosts.items()}
        begun = time.monotonic()

        # times are those of the host that made the change

        ended = {}

        for name, api in hosts.items():
            path = '/' + name
            first = time.time() + AHEAD[name] / 1000
            ended[name] = api.fire(sink.url(path))
            document = api.alice.wait(ended[name])
            t.between(seconds(document['completed_at']), first - 0.5,
                      time.time() + AHEAD[name] / 1000 + 0.5,
                      name + ' has its own time')
            t.eq(round(seconds(document['expires_at'])
                       - seconds(document['completed_at'])), TTL,
                 'the TTL counts from there')

            hit, = sink.wait(path, 1)
            t.between(int(hit.headers['webhook-timestamp']), first - 1.5,
                      hit.wall + AHEAD[name] / 1000 + 0.5,
                      'so has what it signs')

            key, = redis.keys('conduit:*:task:' + ended[name])
            t.between(redis.call('PTTL', key) / 1000, LIFE - 60, LIFE + 1,
                      'Redis keeps it long enough')

            t.eq([shown(other, ended[name]) for other in hosts.values()],
                 [shown(api, ended[name])] * 3, 'all show the same')

        # one order, whoever creates

        made = []

        for _ in range(4):
            for api in hosts.values():
                time.sleep(0.1)
                made.append(api.alice.image('sandbox:duration=0')['task_id'])

        for name, api in hosts.items():
            got = [d['task_id'] for d in api.alice.list(limit=12)['data']]
            t.eq(got, made[::-1], name + ' lists in order of creation')

        # tokens are good everywhere

        for one, two in ((a, c), (c, a), (b, a)):
            secret = a.secrets['alice']
            token = Hub.negotiate(type('H', (), {
                'port': one.port(), 'key': secret})(), TASKS_HUB)
            with Hub(two.port(), secret, TASKS_HUB + '?id='
                     + token['connectionToken'], negotiate=False) as hub:
                r = hub.invoke('SubscribeToTask', kept['b'])
                t.ok('error' not in r, 'a token of another host')

        # a lease is one by the clock of Redis

        time.sleep(max(0, 12 - (time.monotonic() - begun)))
        t.eq([name for name, api in hosts.items()
              if 'took over' in api.error_log()], [],
             'nothing is taken from who is alive')

        a.kill_all()
        c.kill_all()
        ends = {name: lease(redis, kept[name]) for name in 'ac'}

        for name in 'ac':
            wait_for(lambda: 'took over task ' + kept[name] in b.error_log(),
                     40, 'takeover')
            t.ok(time.time() >= ends[name],
                 'and only when its lease has ended from who is dead')

        for task in kept.values():
            t.eq(b.alice.cancel(task).status, 200, 'b has it')

    sink.close()


run(test_clocks)
