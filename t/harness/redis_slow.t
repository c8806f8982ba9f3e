#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# two hosts whose Redis takes a second for each reply, for longer than a lease:
# all goes on, nothing is taken from who is alive, and nothing happens twice

import collections
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

from conduit_redis_hooks import *
from conduit_hub import *

LATE = 1.0
PERIOD = 13
RATE = 5
CONF = MEDIA + 'conduit_webhook_timeout 60s;'


def hook(sink, path):
    return {'webhook_url': sink.url(path), 'webhook_events': ['completed']}


class Listener:
    """A client of a hub who is told of all tasks, and how often of an end."""

    def __init__(self, api):
        self.hub = Hub(api.port(), api.secrets['alice'])
        self.ends = collections.Counter()
        self.thread = threading.Thread(target=self.listen, daemon=True)

    def start(self):
        r = self.hub.invoke('SubscribeToAllTasks')
        self.thread.start()
        return 'error' not in r

    def listen(self):
        try:
            while True:
                record = self.hub.next()

                if record.get('target') in ('TaskCompleted', 'TaskFailed'):
                    self.ends[record['arguments'][0]] += 1

        except Closed:
            pass


class Clients:
    """Who makes tasks at one host and asks another one for them."""

    def __init__(self, name, one, two, sink):
        self.name = name
        self.one = one
        self.two = two
        self.sink = sink
        self.faults = []
        self.tasks = {}                 # task: its path at the sink
        self.ended = {}                 # path: when it was seen to have ended
        self.cancelled = []
        self.longest = 0
        self.threads = [threading.Thread(target=self.loop, args=(what,))
                        for what in (self.complete, self.cancel)]

    def start(self, until):
        self.until = until

        for thread in self.threads:
            thread.start()

    def join(self):
        for thread in self.threads:
            thread.join()

    def loop(self, what):
        n = 0

        while time.monotonic() < self.until:
            n += 1

            try:
                what('%s%d' % (self.name, n))

            except Exception:
                self.faults.append(traceback.format_exc())
                return

    def check(self, *what):
        """(got, expected) pairs."""

        self.faults += [pair for pair in what if pair[0] != pair[1]]

    def complete(self, name):
        head = {'Idempotency-Key': name}
        more = dict(hook(self.sink, '/' + name), size='16x16')
        begun = time.monotonic()
        r = self.one.alice.image('sandbox:duration=200ms', headers=head,
                                 **more)
        self.longest = max(self.longest, time.monotonic() - begun)
        self.check((r.status, 202))
        task = r['task_id']
        self.tasks[task] = '/' + name

        r = self.two.alice.status(task)
        self.check((r.status, 200), (r['task_id'], task))
        r = self.two.alice.image('sandbox:duration=200ms', headers=head,
                                 **more)
        self.check((r['task_id'], task),
                   (r.header('idempotency-replayed'), 'true'))
        end = self.two.alice.wait(task)
        self.ended['/' + name] = time.monotonic()
        self.check((end['status'], 'completed'))
        near = self.one.alice.document(task)
        self.check((dict(near, webhook=0), dict(end, webhook=0)))
        listed = {d['task_id']: d['status']
                  for d in self.two.alice.list(limit=30)['data']}
        self.check((listed.get(task), 'completed'))

    def cancel(self, name):
        task = self.one.alice.image('sandbox:duration=600s')['task_id']
        self.cancelled.append(task)
        r = self.two.alice.cancel(task)
        self.check((r.status, 200), (r['status'], 'cancelled'))
        self.check((self.one.alice.wait(task), r.json()))


def test_slow(t):
    provider = Provider().start()
    sink = Sink()
    conf = dict(http=CONF, providers=['videos'], provider=provider,
                keys={'few': 'webhook_rate %dr/s;' % RATE})

    with Redis() as redis, RedisProxy(redis) as near, \
            RedisProxy(redis) as far, host(t, near, 'a', **conf) as a, \
            host(t, far, 'b', a, **conf) as b:

        listeners = [Listener(api) for api in (a, b)]
        near.delay(LATE)
        far.delay(LATE)
        t.eq([listener.start() for listener in listeners], [True] * 2,
             'hubs')

        jobs = {}

        for name, api in (('a', a), ('b', b)):
            jobs[name] = api.alice.video(
                'script:held %s.' % name, 'sora-2',
                **hook(sink, '/job-' + name))['task_id']

        for _ in range(2 * RATE):
            for api in (a, b):
                threading.Thread(target=api.fire, args=(sink.url('/few'),
                                                        'few')).start()

        provider.wait(lambda p: p.count('poll', 'script:held') >= 4)
        clients = [Clients('a', a, b, sink), Clients('b', b, a, sink)]

        for client in clients:
            client.start(time.monotonic() + PERIOD)

        for client in clients:
            client.join()

        provider.release('go')
        tasks = {task: '/job-' + name for name, task in jobs.items()}

        for name, task in jobs.items():
            t.eq([api.alice.wait(task, 30)['status'] for api in (a, b)],
                 ['completed'] * 2, 'the job of %s ends' % name)
            t.eq(provider.count('submit', 'script:held %s.' % name), 1,
                 'submitted once')

        for client in clients:
            t.eq(client.faults[:2], [], 'all that is made at %s is known at '
                 'the other host' % client.name)
            t.ok(client.longest >= LATE, 'late')
            t.ok(len(client.tasks) > 1 and len(client.cancelled) > 1, 'some')
            tasks.update(client.tasks)

        def times():
            return collections.Counter(hit.path for hit in sink.hits())

        sink.wait('/few', 4 * RATE)
        wait_for(lambda: set(times()) >= set(tasks.values()), 30,
                 'all webhooks')

        for task in tasks:
            over(redis, task)

        t.eq({path for path, n in times().items()
              if n != (4 * RATE if path == '/few' else 1)}, set(),
             'each webhook is sent once')

        # after a word of Redis or two

        t.between(max(hit.at - client.ended[hit.path] for hit in sink.hits()
                      for client in clients if hit.path in client.ended),
                  -DEADLINE, 8 * LATE * BUSY, 'and soon')

        at = [hit.at for hit in sink.hits('/few')]
        t.ok(min(b - a for a, b in zip(at, at[RATE:])) > 0.9,
             'and never faster than is allowed') or t.diag(at)

        # what is told of images

        images = {task for client in clients
                  for task in list(client.tasks) + client.cancelled}

        for name, listener in zip('ab', listeners):
            wait_for(lambda: set(listener.ends) >= images, 30,
                     'the hub of ' + name, 0.1)
            t.eq([n for n in listener.ends.values() if n != 1], [],
                 'the hub of %s tells each end once' % name)

        t.eq([line for api in (a, b) for line in api.error_log().splitlines()
              if 'took over' in line or 'Redis is gone' in line], [],
             'nothing is taken from who is alive')
        t.eq([task for task in tasks
              if a.alice.document(task)['sequence'] >= 1000], [],
             'and no sequence has jumped')

    provider.stop()
    sink.close()


run(test_slow)
