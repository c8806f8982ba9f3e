#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# The breaker of a receiver: five failed attempts in a row open it for one
# key, deliveries are parked, one probes, and what was parked drains in order.

import os
import sys
from urllib.parse import urlsplit
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from conduit_hooks import *

RESET = 8
HTTP = '''
    conduit_webhook_breaker 5 %ds;
    conduit_webhook_retry 100ms 200ms 300ms;
''' % RESET


def trips(api):
    return api.metric('conduit_webhook_breaker_trips_total')


def check_open(t, api, sink):
    first = api.fire(sink.script('/a', 500))
    t.eq(api.outcome(api.settled(first)), ('failed', 4, 500, 'status'),
         'four failed attempts')
    t.eq(trips(api), 0, 'the breaker is still closed')
    second = api.fire(sink.url('/a'))
    sink.wait('/a', 5)
    opened = sink.hits('/a')[4].at
    wait_for(lambda: api.delivery(second)['status'] == 'parked',
             what='the second to be parked')
    item = api.delivery(second)
    t.eq((item['attempts'], len(sink.hits())), (1, 5),
         'the fifth opens it, and the rest is parked')
    t.eq(api.alice.document(second)['webhook'], {
        'status': 'parked', 'attempts': 1, 'last_status': 500,
        'last_error': 'status'}, 'in the status document')
    t.eq(trips(api), 1, 'counted')
    health = api.get('/health/webhooks')['checks']['webhooks']
    t.eq((health['breakers_open'], health['parked']), (1, 1), 'in health')
    t.eq(len(api.deliveries(status='parked')), 1, 'in the list')
    return second, opened


def check_parked(t, api, sink, opened):
    """More are parked; other keys and origins are served."""

    tasks = [api.fire(sink.script('/p%d' % i, late(0.1)))
             for i in range(12)]
    dropped = api.alice.image('x', 'gpu-image', webhook_url=sink.url('/g'),
                              webhook_events=['progress', 'completed'])
    dropped = dropped['task_id']
    api.robot.worker('claim', {'models': ['sdxl']})
    api.robot.worker('tasks/%s/progress' % dropped, {'progress': 50})
    other = Sink()
    t.eq(api.outcome(api.settled(api.fire(other.url('/o'))))[0], 'delivered',
         'another origin of the same key is served')
    before = len(sink.hits())
    sink.script('/b', 200)
    bob = api.fire(sink.url('/b'), key='bob')
    t.eq(api.outcome(api.settled(bob, 'bob'))[0], 'delivered',
         'the same origin for another key, too')

    sent = len(sink.hits())
    states = {api.delivery(task)['status'] for task in tasks}
    progress = [(item['event'], item['status'], item['attempts'])
                for item in api.deliveries(dropped)
                if item['status'] != 'dropped']

    if time.monotonic() - opened < RESET - 0.5:
        t.eq(sent, before + 1, 'nothing is sent meanwhile')
        t.eq(states, {'parked'}, 'all are parked')
        t.eq(progress, [], 'progress is dropped, not parked')

    return tasks, dropped


def test_breaker(t):
    sink = Sink()

    with Hooks(t, http=HTTP) as api:
        second, opened = check_open(t, api, sink)
        tasks, held = check_parked(t, api, sink, opened)

        # the first probe, of the oldest, fails

        sink.wait('/a', 6)
        probe = sink.hits('/a')[5].at
        t.between(probe - opened, RESET - 0.05, RESET + 3 * BUSY,
                  'a probe after the reset')
        sink.script('/a', 200)
        sink.wait('/a', 7)
        again = sink.hits('/a')[6].at
        t.between(again - probe, RESET - 0.05, RESET + 3 * BUSY,
                  'a failed probe opens it once more')
        between = [hit for hit in sink.hits()
                   if opened < hit.at < again and hit.path != '/b']
        t.eq(len(between), 1, 'nothing but the probe was sent')
        t.eq(trips(api), 1, 'which is no further trip')

        for task in tasks:
            t.eq(api.outcome(api.settled(task)),
                 ('delivered', 1, 200, None), 'a parked one arrives')

        t.eq(api.outcome(api.settled(second)), ('delivered', 3, 200, None),
             'attempts made while it was closed count')
        hits = [hit for hit in sink.hits() if hit.path.startswith('/p')]
        order = [hit.path for hit in hits]
        made = [(urlsplit(item['url']).path, item['id'])
                for item in api.deliveries()]
        ids = [id for path, id in made if path.startswith('/p')]
        made = [path for path, id in made if path.startswith('/p')]
        t.eq(sorted(order), sorted('/p%d' % i for i in range(12)),
             'each once')

        # one, then two, then four at a time; oldest first, which is the order
        # in which the tasks ended; when a thread of the receiver has seen a
        # request says less than when it was sent

        sent = {urlsplit(item['url']).path: item['attempt_log'][0]['at']
                for item in map(api.show, ids)}
        order = [made.index(path) for path in sorted(made, key=sent.get)]

        bounds = [1, 2] + [4] * 5 + [8] * 5
        t.ok(all(abs(place - i) < bounds[i] for i, place
                 in enumerate(order)), 'oldest first') or t.diag(order)
        ends = sorted(hit.at + 0.1 for hit in hits)
        for i, hit in enumerate(hits):
            done = sum(1 for other in hits if other.at + 0.1 <= hit.at)
            flying = i + 1 - done
            if not flying <= 2 ** done:
                t.ok(False, 'at a ramp: %d at a time after %d'
                     % (flying, done))
        t.ok(hits[0].at >= again, 'after the probe')

        api.robot.worker('tasks/%s/complete' % held, {
            'data': [{'url': 'https://cdn.example.com/a.png'}]})
        t.eq(api.outcome(api.settled(held, n=len(api.deliveries(held)) - 1)),
             ('delivered', 1, 200, None), 'closed again')
        health = api.get('/health/webhooks')['checks']['webhooks']
        t.eq((health['breakers_open'], health['parked']), (0, 0),
             'in health, too')


def test_not_counted(t):
    """Statuses that say the receiver is there do not open it, and a success
    in between begins anew."""

    sink, flaky = Sink(), Sink()

    with Hooks(t, http=HTTP) as api:
        for code in (404, 302, 400, 401, 410, 403, 301, 422):
            api.settled(api.fire(sink.script('/%d' % code, code)))

        t.eq(api.outcome(api.settled(api.fire(sink.url('/ok')))),
             ('delivered', 1, 200, None), '4xx and 3xx do not count')

        for _ in range(3):
            task = api.fire(flaky.script('/f', 500, 503, 429, 200))
            t.eq(api.outcome(api.settled(task)), ('delivered', 4, 200, None),
                 'three failures, then a success')

        t.eq(trips(api), 0, 'no trip')

        dead = Sink().refuse()
        api.settled(api.fire(dead.url('/d')))
        task = api.fire(dead.url('/d'))
        wait_for(lambda: api.delivery(task)['status'] == 'parked',
                 what='the breaker of a dead port')
        t.eq(trips(api), 1, 'no connection counts')
        api.reload()
        t.eq(api.delivery(task)['status'], 'parked', 'over a reload')
        dead.accept()
        t.eq(api.outcome(api.settled(task))[0], 'delivered',
             'and the probe comes')


def test_spelling(t):
    """An address is one receiver, however it is written."""

    sink = Sink()

    with Hooks(t, http=HTTP) as api:
        api.settled(api.fire(sink.script('/a', 500)))
        api.fire(sink.url('/a'))
        wait_for(lambda: trips(api) == 1, what='the breaker to open')

        url = sink.script('/b', 200)
        task = api.fire(url.replace('127.0.0.1', '[::ffff:7f00:1]'))
        wait_for(lambda: api.delivery(task)['status'] != 'pending',
                 what='the other spelling')
        t.eq((api.delivery(task)['status'], len(sink.hits('/b'))),
             ('parked', 0), 'parked, as the receiver is down')


run(test_breaker, test_not_counted, test_spelling)
