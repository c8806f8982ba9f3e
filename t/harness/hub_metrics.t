#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# What is told of hubs: connections, how long they last, those that come
# again, and how long events take.

import os
import sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from conduit_api import *
from conduit_hub import *

HELD = GPU.replace('lease 1s', 'lease 600s')

HEALTH = '''
    conduit_connections per_key=5 total=5;
    server {
        listen 127.0.0.1:%%PORT1%%;
        location /health/signalr { conduit_health signalr; }
    }
'''


def numbers(api):
    """The metrics of hubs by their short names."""

    result = {}

    for name, value in api.metrics().items():
        if name.startswith('conduit_hub_'):
            result[name[len('conduit_hub_'):]] = value

    return result


def health(api):
    with api.connect(1) as c:
        return c.request('GET', '/health/signalr')['checks']['signalr']


def check_connections(t, api, hubs, opened):
    seen = numbers(api)
    told = health(api)

    t.eq(seen['connections'], 3, 'three are open')
    t.eq(seen['connects_total{transport="WebSockets"}'], 3, 'were made')
    t.eq((seen['closed_total'], seen['duration_seconds_count']), (0, 0),
         'none has ended')
    t.eq([told[name] for name in ('connections_active', 'connections_limit',
                                  'connections_total', 'reconnections',
                                  'average_duration_seconds')],
         [3, 5, 3, 0, None], 'health says so, too')

    wait_for(lambda: time.monotonic() > opened + 0.5)
    least = 3 * (time.monotonic() - opened)

    for hub in hubs:
        hub.close()

    wait_for(lambda: api.metric('conduit_hub_closed_total') == 3)

    seen = numbers(api)
    t.eq((seen['connections'], seen['duration_seconds_count']), (0, 3),
         'all have ended')
    t.ok(seen['duration_seconds_sum'] >= least - 0.5,
         'they have lasted for %s s' % seen['duration_seconds_sum'])

    mean = health(api)['average_duration_seconds']
    t.ok(abs(mean - seen['duration_seconds_sum'] / 3) < 0.01,
         'for %s s at the mean' % mean)


def test_numbers(t):
    with Api(t, gpu=HELD, http=HEALTH, workers=2) as api:
        hubs = [Hub(api.port(), api.alice.key, TASKS_HUB) for _ in range(3)]
        opened = time.monotonic()
        task = api.alice.image('x', 'gpu-image')['task_id']
        api.robot.worker('claim', {})

        for hub in hubs:
            hub.invoke('SubscribeToTask', task)
            hub.until('TaskProgress')

        # a worker counts what it has sent: the begin and the state of each

        wait_for(lambda: numbers(api)['messages_total'] == 6, what='the count')
        before = numbers(api)
        t.eq(before['latency_seconds_count'], 0,
             'what was there before has no latency')

        for i in range(10):
            api.robot.worker('tasks/%s/progress' % task, {'progress': i + 1})
            for hub in hubs:
                hub.until('TaskProgress')

        wait_for(lambda: numbers(api)['latency_seconds_count'] >= 30,
                 what='the count')
        seen = numbers(api)
        t.eq(seen['messages_total'] - before['messages_total'], 30,
             'ten changes for three')
        t.eq(seen['latency_seconds_count'], 30, 'and their latency')
        t.between(seen['latency_seconds_sum'], 1e-6, 30 * DEADLINE,
                  'of %s s in all' % seen['latency_seconds_sum'])
        t.eq(seen['invocations_total'], 3, 'three calls')

        latency = health(api)['average_message_latency_ms']
        t.ok(abs(latency - seen['latency_seconds_sum'] / 30 * 1000) < 0.01,
             '%s ms at the mean' % latency)

        check_connections(t, api, hubs, opened)


def test_again(t):
    with Api(t, gpu=HELD, http=HEALTH, workers=2) as api:
        task = api.alice.image('x', 'gpu-image')['task_id']
        api.robot.worker('claim', {})

        first = Hub(api.port(), api.alice.key, TASKS_HUB)
        first.invoke('SubscribeToTask', task)
        first.until('TaskProgress')
        first.close()
        wait_for(lambda: numbers(api)['connections'] == 0)

        with Hub(api.port(), api.alice.key, TASKS_HUB, old=first.id) as hub:
            api.robot.worker('tasks/%s/progress' % task, {'progress': 7})
            hub.until('TaskProgress')
            t.eq(numbers(api)['reconnects_total'], 1, 'one has come again')
            t.eq(health(api)['reconnections'], 1, 'health says so, too')

            others = [Hub(api.port(), api.alice.key) for _ in range(4)]
            t.eq(health(api)['status'], 'Degraded', 'there is no more room')

            try:
                Hub(api.port(), api.alice.key)
                t.ok(False, 'one more is refused')
            except Refused as refused:
                t.eq(refused.status, 429, 'one more is refused')

            t.eq(numbers(api)['refused_total'],
                 health(api)['connections_refused'], 'and counted')
            t.ok(numbers(api)['refused_total'] >= 1, 'once')

            for other in others:
                other.close()

        wait_for(lambda: health(api)['status'] == 'Healthy')
        t.ok(True, 'there is room again')


run(test_numbers, test_again)
