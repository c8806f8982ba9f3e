#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# Metrics and health: form, sums over workers, reload and kill -9.

import os
import sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from conduit_api import *


def check_form(t, api):
    r = api.get('/metrics')
    t.eq((r.status, (r.header('content-type') or '').split(';')[:2]),
         (200, ['text/plain', ' version=0.0.4']), 'content type')
    done = subprocess.run(['promtool', 'check', 'metrics'], input=r.body,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=60)
    t.eq((done.returncode, done.stdout), (0, b''), 'promtool is content')

    names = {line.split('{')[0].split(' ')[0] for line in
             r.text.split('\n') if line and not line.startswith('#')}
    t.eq({name for name in names if not name.startswith('conduit_')},
         set(), 'names')
    for name in ('conduit_tasks_created_total',
                 'conduit_tasks_finished_total', 'conduit_tasks',
                 'conduit_http_requests_total', 'conduit_zone_size_bytes',
                 'conduit_zone_free_bytes',
                 'conduit_provider_requests_total'):
        t.ok(name in names, name)
    words = list(api.secrets) + list(api.secrets.values())
    t.ok(not any(word in r.text for word in words), 'no key in them')


def created(api):
    return api.metric('conduit_tasks_created_total')


def test_metrics(t):
    with Api(t, workers=2, providers=['videos'], http=MEDIA) as api:
        api.alice.run(api.alice.video('script:quick', 'sora-2'))
        check_form(t, api)
        begin = created(api)

        parallel(api.alice.image, ['x %d' % i for i in range(30)], 8)
        bad = api.alice.image('sandbox:error=invalid_request')['task_id']
        long = api.alice.video('sandbox:duration=60s')['task_id']
        api.alice.wait(bad)
        api.alice.until(long, lambda d: d['status'] == 'processing')
        wait_for(lambda: api.metric('conduit_tasks_finished_total',
                                    kind='image', status='completed') == 30,
                 what='30 finished')

        for _ in range(4):
            t.eq(created(api) - begin, 32, 'sums over workers')
        t.eq(api.metric('conduit_tasks_created_total', kind='video'), 2,
             'by kind')
        t.eq(api.metric('conduit_tasks_finished_total', kind='image',
                        status='failed'), 1, 'by status')
        t.eq(api.metric('conduit_tasks', status='processing'), 1, 'a gauge')
        requests = api.metric('conduit_http_requests_total')
        api.alice.list()
        t.ok(api.metric('conduit_http_requests_total') > requests,
             'requests are counted')
        t.eq(api.metric('conduit_zone_size_bytes'), 16 << 20, 'zone size')

        api.reload()
        t.eq(created(api) - begin, 32, 'over a reload')
        api.kill_worker()
        t.eq(created(api) - begin, 32, 'over kill -9')
        api.alice.image('one more')
        t.eq(created(api) - begin, 33, 'and on')
        check_form(t, api)


def test_health(t):
    with Api(t, workers=2, server='''
             location = /health/signalr { conduit_health signalr; }
             location = /health/webhooks { conduit_health webhooks; }
             location = /health/providers { conduit_health providers; }
             location = /health/store { conduit_health store; }
             ''') as api:
        for path in ('/health', '/health/signalr', '/health/webhooks',
                     '/health/providers', '/health/store'):
            r = api.get(path)
            t.eq((r.status, r['status'], r.header('content-type')),
                 (200, 'Healthy', 'application/json'), path)
            t.ok(TIME.match(r['timestamp'] or ''), 'timestamp of ' + path)
            t.ok(not any(name in r.text for name in api.secrets),
                 'no tenant in ' + path)
        t.ok(isinstance(api.get('/health')['checks'], dict), 'checks')


run(test_metrics, test_health)
