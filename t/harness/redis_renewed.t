#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# a host is reloaded, and ended, while its Redis is gone or mute: new workers
# serve, old ones leave, and what has happened meanwhile is in Redis afterwards

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

from conduit_redis_hooks import *
from conduit_hub import *

# a call that nobody answers is given up, at the latest

ANSWER = 10


def kept(redis, task):
    """The status of a task in Redis, None: it is not there."""

    header = field(redis, task, 'h')
    return header and int(header.split()[1])


class Clients:
    """Who has a request that goes on."""

    def __init__(self, api, task):
        alice = api.alice
        self.stream = alice.events(task)
        self.hub = Hub(api.port(), api.secrets['alice'])
        self.create = alice.connect()
        self.create.send(alice.encode('POST', IMAGES + '/async', {
            'model': 'sandbox-image', 'prompt': 'x', 'size': '16x16'}))
        self.poll = alice.connect()
        etag = alice.status(task).header('etag')
        self.poll.send(alice.encode('GET', '%s/%s' % (TASKS, task), None, {
            'If-None-Match': etag, 'Prefer': 'wait=60'}))

    def end(self):
        """How their requests end: all are answered by somebody."""

        create = self.create.read_response('POST').status
        poll = self.poll.read_response().status

        for _ in self.stream:
            pass

        return create, poll, self.hub.ws.ended()


def left(t, api, name, begun, seconds):
    """Old workers go as soon as their requests have been answered."""

    wait_for(lambda: not api.old_workers(), 60, 'the end of old workers')
    t.between(time.monotonic() - begun, 0, seconds * SLOW,
              name + ': old workers leave')


def outage(t, name, trouble, created, more):
    """created: what creates get meanwhile."""

    results = []
    sink = Sink()

    def eq(*what):
        t.eq(*what[:2], '%s: %s' % (name, what[2]))

    with Redis() as redis, RedisProxy(redis) as proxy:
        api = make_host(Hooks, t, proxy, 'a', more=more,
                        server='        %s\n' % PID)

        def hooked(duration):
            return api.fire(sink.url('/%d' % len(results)),
                            duration=duration)

        long = api.alice.image('sandbox:duration=600s')['task_id']
        results.append(hooked('2s'))
        trouble(proxy)
        clients = Clients(api, long)
        begun = time.monotonic()
        api.reload()
        pulse = Pulse(api, [TASKS + '/' + long])

        if trouble == RedisProxy.cut:
            eq(api.alice.wait(results[0])['status'], 'completed',
               'a task goes on')

        create, poll, hub = clients.end()
        eq((create, hub), (created, 1000), 'requests of old workers end')
        t.ok(poll in (200, 304), name + ': polls, too')

        # a change that a mute Redis does not answer is not given up

        if trouble == RedisProxy.cut:
            left(t, api, name, begun, ANSWER + 5)

        # again, with workers that have never seen Redis

        begun = time.monotonic()
        pulse.end(t, name, 20)
        api.reload()
        pulse = Pulse(api, [TASKS + '/' + long])
        r = api.alice.image('sandbox:duration=0', size='16x16')
        eq(r.status, created, 'a create after the reload')

        if created == 202:
            results.append(r['task_id'])
            results.append(hooked('0'))

        if trouble == RedisProxy.cut:
            left(t, api, name + ' again', begun, 5)

        wait_for(lambda: min(pulse.asked.values()) >= 20, what='answers')
        pulse.end(t, name, 20)

        proxy.cut()
        proxy.heal()
        left(t, api, name + ' after all', time.monotonic(), 10)
        wait_for(lambda: api.alice.get('/health')['status'] == 'Healthy', 20,
                 'health')
        wait_for(lambda: [kept(redis, task) for task in results]
                 == [2] * len(results), 30, 'all in Redis')
        eq(kept(redis, long) in (0, 1), True, 'all is in Redis afterwards')
        hooks = [n for n, task in enumerate(results) if n != 1]

        for n in hooks:
            sink.wait('/%d' % n, 1)
            over(redis, results[n])

        eq([len(sink.hits('/%d' % n)) for n in hooks], [1] * len(hooks),
           'each webhook is sent once')
        eq(api.alice.wait(api.alice.create('sandbox:duration=0'))['status'],
           'completed', 'all goes on')

        # and the end, with a create that waits

        trouble(proxy)
        clients = Clients(api, long)
        begun = time.monotonic()
        code = api.quit(60)
        t.between(time.monotonic() - begun, 0, (ANSWER + 5) * SLOW,
                  name + ': ends in time')
        eq(code, 0, 'with no error')
        eq(clients.end()[0], created, 'a create is answered')
        api.close()

    sink.close()


def test_outages(t):
    parallel(lambda arguments: outage(t, *arguments), [
        ('gone', RedisProxy.cut, 503, ''),
        ('gone, local', RedisProxy.cut, 202, 'on_outage=local'),
        ('mute', RedisProxy.mute, 503, '')])


run(test_outages)
