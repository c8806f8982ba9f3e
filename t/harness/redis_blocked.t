#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# no worker waits for a Redis that is gone, mute or slow, whatever its clients
# ask for

import collections
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

from conduit_redis_hooks import *
from conduit_hub import *

MORE = '        %s\n' % PID


class Trouble:
    """A host whose Redis is out of reach, and clients that ask for all that
    needs it."""

    def __init__(self, t, redis, name, other, foreign):
        self.t = t
        self.name = name
        self.proxy = RedisProxy(redis)
        self.proxy.listen()
        self.other = other
        self.foreign = collections.deque(foreign)
        self.sink = Sink()
        self.seen = collections.Counter()
        self.took = collections.defaultdict(float)
        self.ends = threading.Event()
        self.api = make_host(Hooks, t, self.proxy, name, other,
                             server=MORE)
        self.own = self.api.alice.image('sandbox:duration=600s')['task_id']
        self.pulse = Pulse(self.api, [TASKS + '/' + self.own])
        self.threads = [threading.Thread(target=self.loop, args=(what,),
                                         daemon=True)
                        for what in (self.create, self.sync, self.repeat,
                                     self.status, self.cancel, self.retry,
                                     self.stream, self.lists, self.hub,
                                     self.claim, self.fire)]

    def begin(self, trouble):
        for thread in self.threads:
            thread.start()

        trouble(self.proxy)

    def end(self):
        self.ends.set()

        for thread in self.threads:
            thread.join(60)

        self.pulse.end(self.t, self.name)
        self.proxy.heal()
        self.sink.close()
        t, api = self.t, self.api
        t.diag('%s: %.3f s, %s' % (self.name, self.pulse.longest[0],
                                   dict(self.seen)))
        wait_for(lambda: api.alice.get('/health')['status'] == 'Healthy', 20,
                 'health')
        task = api.alice.create('sandbox:duration=0')
        t.eq(self.other.alice.wait(task)['status'], 'completed',
             self.name + ': all goes on')
        api.close()

    def loop(self, what):
        while not self.ends.wait(0.15):
            begun = time.monotonic()

            try:
                status = what()

            except Refused as refused:
                status = refused.status

            took = time.monotonic() - begun
            name = what.__name__
            self.took[name] = max(self.took[name], took)
            self.seen[name, status] += 1

    def one(self):
        """A task of the other host."""

        self.foreign.rotate()
        return self.foreign[0]

    # what may have to wait for Redis

    def create(self):
        return self.api.alice.image('sandbox:duration=50ms',
                                    size='16x16').status

    def sync(self):
        return self.api.alice.sync('sandbox:duration=50ms',
                                   size='16x16').status

    def repeat(self):
        return self.api.alice.image('x', headers={
            'Idempotency-Key': os.urandom(8).hex()}, size='16x16').status

    def status(self):
        return self.api.alice.status(self.one()).status

    def cancel(self):
        return self.api.alice.cancel(self.one()).status

    def retry(self):
        return self.api.alice.retry(self.one()).status

    def stream(self):
        with self.api.alice.connect() as c:
            c.send(self.api.alice.encode('GET', '%s/%s/events' % (
                TASKS, self.one())))
            return c.read_head().status

    def lists(self):
        status = self.api.alice.list().status
        return status, self.api.alice.get(WEBHOOKS).status

    def hub(self):
        with Hub(self.api.port(), self.api.secrets['alice'],
                 TASKS_HUB) as hub:
            return 'error' in hub.invoke('SubscribeToTask', self.one())

    def claim(self):
        """A connection that no host has."""

        key = self.api.secrets['alice']
        token = Hub.negotiate(type('H', (), {
            'port': self.other.port(), 'key': key})(), TASKS_HUB)
        path = TASKS_HUB + '?id=' + token['connectionToken']
        return self.api.alice.post(path, b'x').status

    def fire(self):
        return self.api.alice.image('sandbox:duration=0', size='16x16',
                                    webhook_url=self.sink.url('/')).status


def test_blocked(t):
    limit = 'conduit_task_limit per_key=1000;'

    with Redis() as redis, make_host(Hooks, t, redis, 'other',
                                     http=limit) as other:

        made = parallel(lambda _: other.alice.image(
            'sandbox:duration=600s')['task_id'], range(300), 8)
        troubles = [Trouble(t, redis, name, other, made[i::3])
                    for i, name in enumerate(('gone', 'mute', 'slow'))]
        begun = time.monotonic()

        gone, mute, slow = troubles

        gone.begin(lambda proxy: proxy.cut())
        mute.begin(lambda proxy: proxy.mute())
        slow.begin(lambda proxy: proxy.delay(1.0))

        # longer than commands, connects and leases

        time.sleep(max(0, begun + 14 - time.monotonic()))

        for trouble in troubles:
            trouble.end()

        t.ok(gone.seen['create', 503], 'gone: creates are refused')
        t.ok(mute.took['create'] > 2, 'mute: creates wait')
        t.ok(slow.seen['create', 202] and slow.took['create'] > 0.9,
             'slow: creates wait')


run(test_blocked)
