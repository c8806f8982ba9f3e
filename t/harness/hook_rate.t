#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# The rate of a key's webhooks, and what tenants notice of each other.

import bisect
import calendar
import os
import sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from conduit_hooks import *

BURST = 3000
RATE = 300                      # in any second


def most(times, span):
    """The most of these times that lie within any span."""

    times = sorted(times)
    return max(i + 1 - bisect.bisect_right(times, at - span)
               for i, at in enumerate(times))


def stamp(text):
    """Seconds since the epoch."""

    return calendar.timegm(time.strptime(text[:19], '%Y-%m-%dT%H:%M:%S')) \
        + float(text[19:23])


def burst(api, url, n, key='alice'):
    """Tasks that end at once, made over a few connections."""

    body = {'model': 'sandbox-image', 'webhook_url': url,
            'webhook_events': ['completed'], 'size': '16x16',
            'prompt': 'sandbox:duration=0 sandbox:progress=0'}

    def some(count):
        with Connection(api.port(), timeout=60) as c:
            for _ in range(count):
                r = c.request('POST', IMAGES + '/async', None, body,
                              api.secrets[key])
                if r.status != 202:
                    raise AssertionError('create: %r' % r)

    parallel(some, [n // 6] * 6, 6)


def test_rate(t):
    sink = Sink()

    with Hooks(t, zone='conduit:128m', http='''
               conduit_task_limit per_key=100000 total=200000;
               conduit_webhook_rate 1000r/m;
               ''', keys={'alice': 'webhook_rate %dr/s;' % RATE,
                          'bob': 'webhook_rate 2r/m;',
                          'carol': 'webhook_rate off;'}) as api:
        maker = threading.Thread(target=burst, args=(
            api, sink.url('/burst'), BURST))
        maker.start()
        sink.wait('/burst', RATE)
        free = [api.fire(sink.url('/carol'), key='carol')
                for _ in range(20)]

        for task in free:
            item = api.settled(task, 'carol')
            t.ok(item['status'] == 'delivered', 'another key is served')

        t.ok(len(sink.hits('/burst')) < BURST, 'while the first one waits')
        maker.join()

        bobs = [api.fire(sink.url('/bob'), key='bob') for _ in range(4)]
        wait_for(lambda: len(sink.hits('/bob')) == 2, what='two of bob')

        wait_for(lambda: len(sink.hits('/burst')) >= BURST, 90,
                 'all of the burst', pause=0.2)
        hits = sink.hits('/burst')
        t.eq((len(hits), len({hit.id for hit in hits})), (BURST, BURST),
             'none is lost, and none comes twice')

        # what arrives late may arrive together: the sender's clock decides

        wait_for(lambda: api.metric('conduit_webhook_deliveries_total',
                                    status='delivered') == BURST + 22,
                 what='all to be noted')
        sent = []
        after = ''

        while True:
            page = api.alice.get('%s?limit=100&order=asc%s'
                                 % (WEBHOOKS, after)).json()
            sent += parallel(lambda item: api.show(item['id']),
                             page['data'][::3], 8)
            if not page['has_more']:
                break
            after = '&after=' + page['last_id']

        ends = [stamp(item['attempt_log'][0]['at']) for item in sent]
        t.ok(len(ends) >= BURST // 3, 'a third of them, looked at')
        t.ok(max(ends) - min(ends) >= BURST / RATE - 1.2,
             'it took the time it has to')
        t.between(3 * most(ends, 0.95), 1, RATE + 30 * SLOW,
                  'never over the rate in any second')
        t.eq(len(sink.hits('/bob')), 2, 'two a minute stay two')
        t.eq([item['status'] for item in api.deliveries(key='bob')],
             ['delivered'] * 2 + ['pending'] * 2, 'the others wait')


def latencies(api, sink, path, n):
    """From the end of a task, as its event tells it, to the POST."""

    tasks = []

    for i in range(n):
        tasks.append(api.fire(sink.url(path), key='bob'))
        time.sleep(0.02)

    hits = sink.wait(path, n, 60)
    return sorted(hit.wall - stamp(hit.json()['timestamp']) for hit in hits)


def test_tenants(t):
    """A tenant's receivers that never answer, however many they are, do not
    slow another tenant down."""

    good = Sink()
    dead = [Sink() for _ in range(40)]

    for sink in dead:
        sink.default = hold()

    with Hooks(t, zone='conduit:64m',
               http='conduit_webhook_timeout 5m;') as api:
        alone = latencies(api, good, '/alone', 40)

        for i in range(400):
            api.fire(dead[i % 40].url('/dead'))

        wait_for(lambda: sum(len(sink.hits()) for sink in dead) == 64,
                 what='the first tenant to take all it may')
        beside = latencies(api, good, '/beside', 40)
        t.diag('median and last of 40: alone %.1f ms, %.1f ms; beside a '
               'tenant of dead receivers %.1f ms, %.1f ms' % tuple(
                   value * 1000 for value in (alone[20], alone[-1],
                                              beside[20], beside[-1])))
        t.between(beside[20], 0, alone[20] + 0.25 * BUSY, 'the median')
        t.between(beside[-1], 0, alone[-1] + 2 * BUSY, 'the slowest')
        t.eq(sum(len(sink.hits()) for sink in dead), 64,
             'a key has its part of all attempts')
        t.between(max(sink.most.get('/dead', 0) for sink in dead), 1, 10,
                  'and an origin its part of those')


run(test_rate, test_tenants)
