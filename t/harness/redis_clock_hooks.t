#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# hosts whose clocks differ by 5 seconds and more: what one has planned is done
# by another at its time, neither sooner nor later

import os
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

from conduit_redis_hooks import *

# ms; b takes over what a and c had: one was ahead of it, one is behind, and
# neither has been so from the start

AHEAD = {'a': 2500, 'b': -2500, 'c': -7500}
AT_FIRST = {'a': -2500, 'b': -2500, 'c': -2500}

# longer than all before the kill and a takeover take

LONG = 50 if SANITIZE else 27
EARLY, LATE = 0.5, 4 if SANITIZE else 2.5

DAY = 86400
BURST, RATE = 40, 20


class Clock:
    """That of a host, which may be set."""

    def __init__(self, name):
        self.path = os.path.join(new_folder('time'), name)
        self.set(AT_FIRST[name])

    def set(self, ms):
        with open(self.path, 'r+b' if os.path.exists(self.path)
                  else 'wb') as f:
            f.write(struct.pack('l', ms))


def set_clocks(redis, clocks):
    """They go on as they were, but for those that are set; each of their
    workers notices and asks Redis for the time."""

    monitor = redis.client()
    monitor.call('MONITOR')
    askers = set()

    for name, clock in clocks.items():
        if AHEAD[name] != AT_FIRST[name]:
            clock.set(AHEAD[name])

    while len(askers) < sum(AHEAD[n] != AT_FIRST[n] for n in clocks):
        line = monitor.read()

        if line.lower().endswith('"time"') and ' lua]' not in line:
            askers.add(line.split()[2])

    monitor.close()


def clocked(t, redis, library, clocks, name, like=None, provider=None):
    clocks[name] = Clock(name)
    return host(t, redis, name, like, first='%ds' % LONG, workers=1,
                env={'LD_PRELOAD': library,
                     'CONDUIT_CLOCK': clocks[name].path},
                http=MEDIA, providers=['videos'], provider=provider,
                edit=lambda text: text.replace('deadline  60m',
                                               'deadline %ds' % LONG),
                keys={'dave': 'webhook_rate %dr/s;' % RATE})


def begin(redis, api, sink, name):
    """What will be due when its host is dead; the tasks."""

    def path(what):
        return '/%s-%s' % (what, name)

    def url(what):
        return sink.url(path(what))

    sink.script(path('retry'), 500, 200)
    retry = api.fire(url('retry'))
    tasks = [api.fire(url('timeout'), events=['failed'], duration='600s',
                      timeout_seconds=LONG)]
    begun = time.monotonic()

    r = api.alice.video('script:held %s' % name, 'sora-2', size='640x360',
                        webhook_url=url('deadline'),
                        webhook_events=['failed'])
    api.provider.wait(lambda p: p.count('submit', name))
    tasks.append(r['task_id'])
    sink.wait(path('retry'), 1)

    wait_for(lambda: field(redis, retry, 'e:'
                           + sink.hits(path('retry'))[0].id[4:])
             .split()[3] == b'1', 10, 'the first attempt in Redis')

    return begun, tasks


def together(work, *args):
    threads = [threading.Thread(target=work, args=(arg,)) for arg in args]

    for thread in threads:
        thread.start()

    for thread in threads:
        thread.join()


def most(times, span):
    """The most of these times that lie within any span."""

    times = sorted(times)
    return max(sum(at <= later < at + span for later in times)
               for at in times)


def keys_of_all(t, redis, a, b, c):
    """An Idempotency-Key holds everywhere, for a day by one clock."""

    def post(api, name, **more):
        return api.alice.image('again', size='16x16',
                               headers={'Idempotency-Key': name}, **more)

    for name, first, others in (('a', a, (b, c)), ('c', c, (b, a)),
                                ('b', b, (c, a))):
        made = post(first, name)
        t.eq([(r.status, r['task_id'], r.header('idempotency-replayed'))
              for r in (post(api, name) for api in others)],
             [(202, made['task_id'], 'true')] * 2,
             'a key used at %s holds at the others' % name)
        t.eq([post(api, name, n=2).status for api in others], [422] * 2,
             'for one body')

    left = [redis.call('PTTL', key) / 1000
            for key in redis.keys('conduit:*:idem:*')]
    t.eq(len(left), 3, 'Redis has them')
    t.between(min(left), DAY - BUSY, DAY, 'for a day')
    t.between(max(left), DAY - BUSY, DAY, 'all of them')


def report(t, one, two):
    """A task that was begun by a clock ahead of that which ends it."""

    task = one.alice.image('a cat', 'gpu-image')['task_id']
    wait_for(lambda: one.robot.worker('claim', {'wait': 1}).status == 200, 20,
             'a claim')
    r = two.robot.worker('tasks/%s/complete' % task, {
        'data': [{'url': 'https://example.com/1.png'}]})
    t.eq(r.status, 200, 'a report at another host')

    for api in (one, two):
        document = api.alice.wait(task)
        t.eq((document['status'], document['generation_duration_seconds']),
             ('completed', 0), 'it took no less than no time')

    t.between(two.metrics().get('conduit_task_duration_seconds_sum'
                                '{kind="image"}'), 0, LONG,
              'nor do the metrics say so')


def rate(t, sink, hosts):
    """All hosts have as much to send as the rate allows in some seconds."""

    def burst(api):
        for _ in range(BURST):
            api.fire(sink.url('/rate'), key='dave')

    together(burst, *hosts)
    hits = sink.wait('/rate', BURST * len(hosts), 30)
    times = [hit.at for hit in hits]
    t.eq(len(hits), BURST * len(hosts), 'all arrive')
    t.between(most(times, 0.9), 1, RATE * (1.25 if SLOW == 1 else 1.6),
              'and never more than the rate in a second')


def test_clocks(t):
    library = clock()
    sink = Sink()
    clocks = {}

    with Redis() as redis:
        b = clocked(t, redis, library, clocks, 'b')
        a = clocked(t, redis, library, clocks, 'a', b, b.provider)
        c = clocked(t, redis, library, clocks, 'c', b, b.provider)

        with b, a, c:
            set_clocks(redis, clocks)
            begun, tasks = {}, []

            for name, api in (('a', a), ('c', c)):
                begun[name], ids = begin(redis, api, sink, name)
                tasks += ids

            keys_of_all(t, redis, a, b, c)
            report(t, a, c)
            rate(t, sink, (a, b, c))

            t.eq([name for name, api in (('a', a), ('b', b), ('c', c))
                  if 'took over' in api.error_log()], [],
                 'nothing is taken from who is alive')

            killed = time.monotonic()
            t.diag('killed after %.1f s' % (killed - begun['a']))
            a.kill_all()
            c.kill_all()
            taken_over(t, tasks, killed, b)
            took = time.monotonic()
            t.diag('taken over after %.1f s' % (took - begun['a']))

            for name in 'ac':
                verdicts(t, sink, name, begun[name], took)

    sink.close()


def verdicts(t, sink, name, begun, took):
    def due(what, since, n=1):
        hit = sink.wait('/%s-%s' % (what, name), n, LONG)[n - 1]
        t.between(hit.at - since, LONG - EARLY,
                  max(LONG, took - since) + LATE,
                  'what %s has begun: %s at its time' % (name, what))
        return hit.json()

    due('retry', sink.hits('/retry-' + name)[0].at, 2)
    t.eq(due('timeout', begun)['error_code'], 'timeout', 'a timeout')
    t.eq(due('deadline', begun)['error_code'], 'timeout', 'a deadline')


run(test_clocks)
