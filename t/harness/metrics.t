#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# Metrics and health: form, sums over workers, reload and kill -9.

import os
import sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from conduit_api import *

HELD = GPU.replace('lease 1s', 'lease 60s')


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


def test_polls(t):
    """What the guide tells to watch about polling, and about tasks."""

    with Api(t, gpu=HELD, keys={'slow': 'rate 1r/m burst=2;'},
             http='conduit_task_attempts 2;') as api:
        task = api.alice.image('polled', 'gpu-image')['task_id']
        etag = api.alice.status(task).header('etag')
        time.sleep(0.3)
        api.alice.status(task, {'If-None-Match': etag})
        api.alice.status(task, {'If-None-Match': etag,
                                'Prefer': 'wait=1'})
        name = 'conduit_poll_interval_seconds'
        t.eq(api.metric(name + '_count'), 2, 'pauses between polls')
        t.between(api.metric(name + '_sum'), 0.3, 2 * BUSY, 'their sum')
        t.eq(api.metric(name + '_bucket', le='+Inf'), 2, 'classes')
        t.between(api.metric(name + '_bucket', le='0.250'), 0, 1,
                  'the longer one')
        t.eq((api.metric('conduit_waits_total'),
              api.metric('conduit_waits_expired_total'),
              api.metric('conduit_polls_not_modified_total')),
             (1, 1, 2), 'waits in vain')

        for _ in range(3):
            api.slow.list()
        t.eq((api.metric('conduit_rate_limited_total'),
              api.metric('conduit_http_requests_total', code='429')),
             (1, 1), '429s')

        t.eq(api.metric('conduit_provider_tasks_waiting', provider='gpu'), 1,
             'waiting for its provider')
        api.robot.worker('claim', {})
        t.eq((api.metric('conduit_provider_tasks_waiting', provider='gpu'),
              api.metric('conduit_provider_tasks_running', provider='gpu'),
              api.metric('conduit_task_wait_seconds_count', kind='image')),
             (0, 1, 1), 'started')
        t.between(api.metric('conduit_task_wait_seconds_sum', kind='image'),
                  1.3, 20 * BUSY, 'after a wait')

        for wait in (10, 0):
            api.robot.worker('tasks/%s/fail' % task, {
                'error_code': 'provider_unavailable', 'retryable': True})
            api.robot.worker('claim', {'wait': wait})
        t.eq((api.metric('conduit_task_retries_total'),
              api.metric('conduit_tasks_failed_total', kind='image'),
              api.metric('conduit_tasks_failed_total', kind='image',
                         error_code='provider_unavailable'),
              api.metric('conduit_task_duration_seconds_count',
                         kind='image')), (1, 1, 1, 1), 'failed in the end')
        check_form(t, api)


def test_down(t):
    """Health of a provider that is down, and of a zone that is full."""

    with Api(t, providers=['videos'], gpu=GPU, zone='conduit:1m', server='''
             location = /health/providers { conduit_health providers; }
             ''', http='''
             conduit_task_attempts 10;
             conduit_media %%DIR%%/media url=/media;
             conduit_task_limit per_key=100000 total=100000;''') as api:
        name = 'videos_compat'
        api.alice.run(api.alice.video('script:quick', 'sora-2'))
        checks = api.get('/health/providers')['checks']
        t.eq((checks[name]['status'], checks[name]['bad_in_a_row']),
             ('Healthy', 0), 'a provider that is up')
        t.ok(checks[name]['succeeded'] >= 2, 'its calls')

        api.provider.refuse()
        tasks = [api.alice.video('script:quick %d' % i, 'sora-2')['task_id']
                 for i in range(5)]
        wait_for(lambda: api.get('/health')['status'] == 'Degraded',
                 what='the provider to be missed')
        r = api.get('/health/providers')
        t.eq((r.status, r['checks'][name]['status']), (200, 'Degraded'),
             'one that is down')
        api.provider.accept()
        for task in tasks:
            t.eq(api.alice.wait(task, 30)['status'], 'completed', 'up again')
        t.eq(api.get('/health')['status'], 'Healthy', 'and seen')

        with api.alice.connect() as c:
            while c.request('POST', IMAGES + '/async', None, {
                    'model': 'gpu-image', 'prompt': 'x' * 2000},
                    api.alice.key).status == 202:
                pass
        r = api.get('/health')
        t.eq((r.status, r['status'], r['checks']['zone']['status']),
             (503, 'Unhealthy', 'Unhealthy'), 'a full zone')
        t.ok(r['checks']['zone']['full'] >= 1
             and r['checks']['tasks']['pending'] >= 1, 'with its numbers')
        t.ok(api.metric('conduit_zone_full_total') >= 1, 'and a metric')


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


run(test_metrics, test_polls, test_down, test_health)
