#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# hosts whose packets to Redis disappear: what they had is taken over, nothing
# is done or ended twice, and afterwards all agree

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

from conduit_api import *
from conduit_net import Network, why_not
from conduit_redis import *


class Place:
    def __init__(self, url):
        self.url = url


def host(t, net, redis, name, provider, like=None):
    """A host in a namespace of its own."""

    class There(Api):
        def command(self, *args):
            return net.command(name) + super().command(*args)

        def start(self):
            net.reach(name, self.port())
            net.offer(name, provider.port)
            super().start()

    return make_host(There, t, Place(net.url(name, redis)), name, like,
                     http=MEDIA, workers=2, provider=provider,
                     providers=['videos'],
                     edit=lambda text: text.replace(
                         'every     100ms', 'every     200ms').replace(
                         'base ', 'limit concurrency=2; base '))


class Watch:
    """Asks a host for its health all the time."""

    def __init__(self, api):
        self.api = api
        self.longest = 0
        self.asked = 0
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.ask)
        self.thread.start()

    def ask(self):
        while not self.stop.is_set():
            begun = time.monotonic()
            self.asked += health(self.api) is not None
            self.longest = max(self.longest, time.monotonic() - begun)
            self.stop.wait(0.05)

    def end(self):
        self.stop.set()
        self.thread.join()


def health(api):
    try:
        return api.alice.get('/health')['status']

    except OSError:
        return None


def wait_health(api, status):
    wait_for(lambda: health(api) == status, 30 * SLOW, status)


def end(api, task):
    """The document at its end, from a host that may not have all yet."""

    def ended():
        r = api.alice.status(task)
        return r.status == 200 and r['status'] in FINAL and r.json()

    return wait_for(ended, 60 * SLOW, 'the end of ' + task)


def agree(t, a, b, tasks):
    """Both tell the same end of all of them."""

    ends = {name: (end(a, task), end(b, task))
            for name, task in tasks.items()}

    t.eq({name: one['status'] for name, (one, _) in ends.items()},
         {name: 'completed' for name in tasks}, 'all are completed')
    t.eq([name for name, (one, two) in ends.items() if one != two], [],
         'both hosts tell the same')


def test_one(t):
    provider = Provider().start()

    with Network('a', 'b') as net, Redis(conf=net.binds()) as redis, \
            host(t, net, redis, 'b', provider) as b, \
            host(t, net, redis, 'a', provider, b) as a:

        # two jobs hold all slots of a, the third waits there

        tasks = {name: a.alice.video('script:held %s.' % name,
                                     'sora-2')['task_id']
                 for name in ('one', 'two')}
        provider.wait(lambda p: p.count('poll', 'script:held') >= 4)
        tasks['three'] = a.alice.video('script:held three.',
                                       'sora-2')['task_id']
        tasks['sandbox'] = a.alice.image('sandbox:duration=9s')['task_id']

        cut = time.monotonic()
        net.cut('a')
        watch = Watch(a)
        wait_health(a, 'Degraded')
        t.eq(a.alice.image('x').status, 503, 'a creates nothing')

        # the end of its sandbox comes, but nobody may be told of it by a

        taken_over(t, tasks.values(), cut, b)
        t.eq(b.alice.wait(tasks['sandbox'], 30)['status'], 'completed',
             'b ends a task of a')

        # every 200 ms: two hosts would come ten times a second

        begun = time.monotonic()
        first = provider.count('poll', 'script:held one.')
        provider.wait(lambda p: p.count('poll', 'script:held one.')
                      >= first + 10)
        polls = provider.count('poll', 'script:held one.') - first
        t.ok(polls <= 7 * (time.monotonic() - begun) + 1,
             'a job is polled by one host')

        provider.release('go')

        for name in ('one', 'two', 'three'):
            t.eq(b.alice.wait(tasks[name], 30)['status'], 'completed',
                 'b ends ' + name)

        seen = [a.alice.status(task) for task in tasks.values()]
        t.eq([r for r in seen if r.status == 200 and r['status'] in FINAL],
             [], 'a has ended nothing')

        watch.end()
        t.ok(watch.asked > 50, 'a answers meanwhile')
        t.ok(watch.longest < 10 * SLOW, 'and at once') or t.diag(
            watch.longest)

        # what a would end by itself is told by nobody, also before it has
        # heard of b

        net.heal('a')
        agree(t, a, b, tasks)
        t.ok(a.alice.document(tasks['sandbox'])['sequence'] > 1000,
             'what b has ended is newer than all that a could tell')
        wait_health(a, 'Healthy')
        t.eq([provider.count('submit', 'script:held %s.' % name)
              for name in ('one', 'two', 'three')], [1, 1, 1],
             'nothing was submitted twice')

        wait_for(lambda: not any(
            api.metric('conduit_tasks', status=status) for api in (a, b)
            for status in ('pending', 'processing')), 20, 'counts')
        reply = wait_for(lambda: (lambda r: r.status == 202 and r)(
            a.alice.image('x')), 20, 'a create')
        t.eq(a.alice.run(reply)['status'], 'completed', 'a works again')

    provider.stop()


def test_both(t):
    provider = Provider().start()

    with Network('a', 'b') as net, Redis(conf=net.binds()) as redis, \
            host(t, net, redis, 'b', provider) as b, \
            host(t, net, redis, 'a', provider, b) as a:

        tasks = {}

        for name, api in (('a', a), ('b', b)):
            tasks['job of ' + name] = api.alice.video(
                'script:ok %s.' % name, 'sora-2')['task_id']
            tasks['image of ' + name] = api.alice.image(
                'sandbox:duration=4s')['task_id']

        net.cut('a')
        net.cut('b')
        wait_health(a, 'Degraded')
        wait_health(b, 'Degraded')
        net.heal('b')
        net.heal('a')
        wait_health(a, 'Healthy')
        wait_health(b, 'Healthy')

        agree(t, a, b, tasks)
        t.eq([provider.count('submit', 'script:ok %s.' % name)
              for name in 'ab'], [1, 1], 'nothing was submitted twice')

    provider.stop()


if why_not():
    skip_all(why_not())

run(test_one, test_both)
