#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# connects to Redis that are refused: a host that is so cut off from others
# ends nothing they may have taken over, one that had none beside it goes on

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

from conduit_redis_hooks import *


def health(api):
    return api.alice.get('/health')['status']


def test_refused(t):
    """Redis is there, but a host is told that nobody listens."""

    provider = Provider().start()
    conf = dict(provider=provider, providers=['videos'],
                edit=lambda text: text.replace('every     100ms',
                                               'every     200ms'))

    with Redis() as redis, RedisProxy(redis) as proxy, \
            make_host(Hooks, t, redis, 'b', http=MEDIA, **conf) as b, \
            make_host(Hooks, t, proxy, 'a', b, http=MEDIA, **conf) as a:

        sink = Sink()
        job = a.alice.video('script:held job.', 'sora-2',
                            webhook_url=sink.url('/job'),
                            webhook_events=['completed'])['task_id']
        provider.wait(lambda p: p.count('poll', 'script:held job.') >= 1)
        image = a.alice.image('sandbox:duration=4s',
                              webhook_url=sink.url('/image'),
                              webhook_events=['completed'])['task_id']
        a.alice.until(image, lambda d: d['status'] == 'processing')

        proxy.cut()
        wait_for(lambda: health(a) == 'Degraded', 20, 'degraded')
        t.eq(a.alice.status(image)['status'], 'processing', 'a answers')

        for task in job, image:
            wait_for(lambda: 'took over task ' + task in b.error_log(), 40,
                     'b to take over')

        t.eq(b.alice.wait(image, 40)['status'], 'completed',
             'b ends a task of a')

        # that of a would have come long ago, and the job ends for both

        provider.release('go')
        t.eq(b.alice.wait(job)['status'], 'completed', 'and the other one')
        polls = provider.count('poll', 'script:held job.')
        t.eq([a.alice.status(task)['status'] for task in (image, job)],
             ['processing', 'processing'], 'a has ended none')

        proxy.heal()
        wait_for(lambda: a.alice.document(job) == b.alice.document(job)
                 and a.alice.document(image) == b.alice.document(image), 40,
                 'a to tell what b tells')
        t.eq(provider.count('submit', 'script:held job.'), 1,
             'nothing was submitted twice')
        t.eq(provider.count('poll', 'script:held job.'), polls,
             'nor asked for after its end')

        for path in '/image', '/job':
            hits = sink.wait(path, 1)
            t.eq([hit.json()['status'] for hit in hits], ['completed'],
                 'one webhook, ' + path)

        wait_for(lambda: health(a) == 'Healthy', 20, 'health')

        for api in a, b:
            wait_for(lambda: api.deliveries(status='pending') == [], 20,
                     'nothing to be left')

        t.eq([len(sink.hits(path)) for path in ('/image', '/job')], [1, 1],
             'and none more')

    provider.stop()


def test_alone(t):
    """Nobody else was heard of: there is no reason to wait."""

    with Redis() as redis, RedisProxy(redis) as proxy, \
            make_host(Api, t, proxy, 'a') as a:

        task = a.alice.image('sandbox:duration=2s')['task_id']
        proxy.cut()
        wait_for(lambda: health(a) == 'Degraded', 20, 'degraded')
        t.eq(a.alice.wait(task)['status'], 'completed', 'it ends')
        proxy.heal()
        wait_for(lambda: health(a) == 'Healthy', 20, 'health')
        t.eq(a.alice.wait(task)['status'], 'completed', 'and stays so')


run(test_refused, test_alone)
