#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# The deliveries of a key: list, show, redeliver, test; health and metrics.

import os
import sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from conduit_hooks import *

QUICK = 'conduit_webhook_retry 100ms 100ms 100ms;'
NIL = '00000000-0000-0000-0000-000000000000'


def test_list(t):
    sink = Sink()

    with Hooks(t, http=QUICK) as api:
        r = api.alice.get(WEBHOOKS)
        t.eq((r.status, r.json()), (200, {
            'object': 'list', 'data': [], 'first_id': None, 'last_id': None,
            'has_more': False}), 'nothing yet')
        tasks = []

        for i in range(7):
            tasks.append(api.fire(sink.script('/h%d' % i,
                                              404 if i == 3 else 200)))
            api.settled(tasks[-1])

        r = api.alice.get(WEBHOOKS)
        items = r['data']
        t.eq([item['task_id'] for item in items], tasks[::-1],
             'newest first')
        t.eq(list(items[0]), ITEM, 'the members of an item')
        t.eq((r['first_id'], r['last_id'], r['has_more'], r['object']),
             (items[0]['id'], items[-1]['id'], False, 'list'), 'the page')
        one = items[-1]
        t.eq((one['object'], one['event'], one['webhook_type'], one['url'],
              one['status'], one['attempts'], one['last_status'],
              one['last_error'], one['next_attempt_at']),
             ('webhook_delivery', 'completed', 'image_generation_completed',
              sink.url('/h0'), 'delivered', 1, 200, None, None), 'an item')
        t.ok(all(TIME.match(one[name]) for name in
                 ('created_at', 'updated_at', 'delivered_at')), 'its times')
        t.eq((one['id'], one['sequence']), (
            sink.hits('/h0')[0].id, sink.hits('/h0')[0].json()['sequence']),
             'its id is that of the event')

        page = api.alice.get(WEBHOOKS + '?limit=3')
        t.eq([item['task_id'] for item in page['data']], tasks[:3:-1],
             'a page')
        t.eq(page['has_more'], True, 'there is more')
        page = api.alice.get('%s?limit=3&after=%s' % (WEBHOOKS,
                                                      page['last_id']))
        t.eq([item['task_id'] for item in page['data']], tasks[3:0:-1],
             'the next')
        page = api.alice.get('%s?limit=3&after=%s' % (WEBHOOKS,
                                                      page['last_id']))
        t.eq(([item['task_id'] for item in page['data']],
              page['has_more']), (tasks[:1], False), 'the last')
        t.eq([item['task_id'] for item in api.deliveries()], tasks,
             'order=asc')
        t.eq([item['task_id'] for item in api.deliveries(status='failed')],
             [tasks[3]], 'status=')
        t.eq([item['task_id'] for item in api.deliveries(tasks[2])],
             [tasks[2]], 'task_id=')

        foreign = api.fire(sink.url('/bob'), key='bob')
        item = api.settled(foreign, 'bob')
        t.eq((api.deliveries(foreign), api.deliveries(NIL)), ([], []),
             'a foreign or unknown task_id: nothing')
        t.eq(len(api.deliveries()), 7, 'only one\'s own')

        for query, name in (('limit=0', 'limit'), ('limit=101', 'limit'),
                            ('limit=x', 'limit'), ('status=done', 'status'),
                            ('order=up', 'order'),
                            ('after=' + item['id'], 'after'),
                            ('after=whe_x', 'after')):
            r = api.alice.get('%s?%s' % (WEBHOOKS, query))
            t.eq((r.status, r.error('param'), r.error('type')),
                 (400, name, 'invalid_request_error'), query)

        for id in (item['id'], 'whe_' + '0' * 22, 'whe_', 'x', tasks[0],
                   'whe_' + '0' * 21 + '%20', 'test'):
            r = api.alice.get('%s/%s' % (WEBHOOKS, id))
            expected = 405 if id == 'test' else 404
            t.eq((r.status, r.error('type')), (expected, {
                404: 'not_found_error', 405: 'invalid_request_error'}
                [expected]), 'GET of ' + id)
            r = api.alice.post('%s/%s/redeliver' % (WEBHOOKS, id))
            t.eq(r.status, 404, 'redeliver of ' + id)

        for method, path, allow in (
                ('POST', '', 'GET, HEAD, OPTIONS'),
                ('DELETE', '/' + one['id'], 'GET, HEAD, OPTIONS'),
                ('GET', '/%s/redeliver' % one['id'], 'POST, OPTIONS'),
                ('GET', '/test', 'POST, OPTIONS')):
            r = api.alice.request(method, WEBHOOKS + path)
            t.eq((r.status, r.header('allow')), (405, allow),
                 method + ' ' + path)

        r = api.alice.get(WEBHOOKS + '/a/b')
        t.eq(r.status, 404, 'an unknown path')
        r = api.get(WEBHOOKS)
        t.eq((r.status, r.error()), (401, 'invalid_api_key'), 'without key')
        r = api.alice.request('HEAD', WEBHOOKS)
        t.eq((r.status, r.body), (200, b''), 'HEAD')


def test_show(t):
    sink = Sink()

    with Hooks(t, http=QUICK) as api:
        task = api.fire(sink.script('/show', 503, drop(), 200)
                        + '?token=' + QUERY_SECRET)
        item = api.settled(task)
        t.eq(list(item), ITEM + ['attempt_log'], 'its members')
        t.eq([list(entry) for entry in item['attempt_log']], [ATTEMPT] * 3,
             'of each attempt')
        t.eq([(entry['attempt'], entry['address'], entry['status'],
               entry['error']) for entry in item['attempt_log']],
             [(1, 'loopback', 503, 'status'),
              (2, 'loopback', None, 'protocol'),
              (3, 'loopback', 200, None)], 'the attempts')
        t.ok(all(TIME.match(entry['at']) and isinstance(
            entry['duration_ms'], int) and entry['duration_ms'] >= 0
            for entry in item['attempt_log']), 'their times')
        t.eq(sink.hits('/show')[0].target, '/show?token=' + QUERY_SECRET,
             'the query is sent')
        t.eq(item['url'], sink.url('/show'), 'and not shown')


def test_redeliver(t):
    sink = Sink()

    with Hooks(t, http=QUICK + 'conduit_webhook_breaker 50 60s;') as api:
        task = api.fire(sink.script('/again', 404))
        item = api.settled(task)
        sink.script('/again', 500, 500, 500, 500, 500, 200)
        r = api.redeliver(item['id'])
        t.eq((r.status, list(r.json()), r['id'], r['status'],
              r['attempts']), (202, ITEM, item['id'], 'pending', 1),
             'a failed one')
        item = api.settled_id(item['id'])
        t.eq(api.outcome(item), ('failed', 5, 500, 'status'),
             'a fresh schedule of four')
        t.eq([entry['attempt'] for entry in item['attempt_log']],
             [1, 2, 3, 4, 5], 'attempts go on counting')
        t.eq(api.redeliver(item['id']).status, 202, 'once more')
        item = api.settled_id(item['id'])
        t.eq(api.outcome(item), ('delivered', 7, 200, None), 'delivered')
        t.eq(api.redeliver(item['id']).status, 202, 'though delivered')
        item = wait_for(lambda: api.settled_id(item['id'])['attempts'] == 8
                        and api.settled_id(item['id']), what='the eighth')
        t.ok(same(sink.hits('/again')) and len(sink.hits('/again')) == 8,
             'the same id and bytes each time')
        t.eq(api.alice.document(task)['webhook'], {
            'status': 'delivered', 'attempts': 8, 'last_status': 200,
            'last_error': None}, 'in the status document')
        t.eq(api.metric('conduit_webhook_latency_seconds_count'), 0,
             'how long the user took to ask is no latency')

        looked = threading.Event()
        slow = api.fire(sink.script('/slow', lambda sock, hit: looked.wait(
            DEADLINE) and status(200)(sock, hit)))
        sink.wait('/slow', 1)
        id = api.deliveries(slow)[0]['id']
        r = api.redeliver(id)
        t.eq((r.status, r.error('type'), r.header('x-should-retry')),
             (409, 'conflict_error', 'false'), 'one that is under way')
        t.eq(api.bob.post('%s/%s/redeliver' % (WEBHOOKS, id)).status, 404,
             'one of another key')
        looked.set()
        api.settled(slow)

        # after a 410, and with a body nobody asked for

        gone = api.fire(sink.script('/gone', 410, 200))
        id = api.settled(gone)['id']
        r = api.alice.post('%s/%s/redeliver' % (WEBHOOKS, id), {'a': 1})
        t.eq(r.status, 202, 'after a 410')
        t.eq(api.settled_id(id)['status'], 'delivered', 'it is sent')


def test_ping(t):
    sink = Sink()
    secret = new_secret()

    with Hooks(t, http=QUICK, keys={
            'alice': 'webhook_secret %s;' % secret}) as api:
        api.private.append(secret[6:])
        r = api.ping(sink.url('/ping') + '?x=' + QUERY_SECRET,
                     webhook_headers={'X-Mine': HEADER_SECRET},
                     webhook_metadata={'a': [1, 2.5]})
        t.eq((r.status, list(r.json())), (202, ITEM), 'its item')
        t.eq((r['task_id'], r['event'], r['webhook_type'], r['sequence'],
              r['url']), (NIL, 'test', 'webhook_test', 0,
                          sink.url('/ping')), 'what it says')
        item = api.settled_id(r['id'])
        t.eq(api.outcome(item), ('delivered', 1, 200, None), 'delivered')
        hit, = sink.hits('/ping')
        e = hit.json()
        t.eq(list(e), ['task_id', 'status', 'webhook_type', 'timestamp',
                       'metadata', 'type', 'event_id', 'sequence'],
             'the members of the event')
        t.eq((e['task_id'], e['status'], e['webhook_type'], e['type'],
              e['event_id'], e['sequence'], e['metadata']),
             (NIL, 'test', 'webhook_test', 'webhook.test', hit.id, 0,
              {'a': [1, 2.5]}), 'the event')
        t.ok(b'{"a":[1,2.5]}' in hit.body, 'metadata as sent')
        t.eq((hit.id, hit.headers['webhook-signature'],
              hit.headers['x-mine'], hit.headers['x-webhook-type']),
             (item['id'], signature(secret, hit), HEADER_SECRET,
              'webhook_test'), 'signed, with the headers')
        again = api.ping(sink.script('/bad', 500))
        t.ok(again['id'] != item['id'], 'a new id each time')
        t.eq(api.outcome(api.settled_id(again['id'])),
             ('failed', 1, 500, 'status'), 'tried once')
        t.eq([one['id'] for one in api.deliveries()],
             [item['id'], again['id']], 'listed like any other')
        r = api.redeliver(again['id'])
        t.eq(r.status, 202, 'sent again by request')
        sink.script('/bad', 200)

        for body, param in (
                ({}, 'webhook_url'), ({'webhook_url': None}, 'webhook_url'),
                ({'webhook_url': 5}, 'webhook_url'),
                ({'webhook_url': 'http://10.0.0.1/'}, 'webhook_url'),
                ({'webhook_url': 'ftp://example.com/'}, 'webhook_url'),
                ({'webhook_url': sink.url(), 'webhook_headers':
                  {'Host': 'x'}}, 'webhook_headers.Host'),
                ({'webhook_url': sink.url(), 'webhook_metadata': 5},
                 'webhook_metadata')):
            r = api.alice.post(WEBHOOKS + '/test', body)
            t.eq((r.status, r.error('param')), (400, param), repr(body))

        for body in (b'', b'[]', b'{', b'\xff'):
            t.eq(api.alice.post(WEBHOOKS + '/test', body).status, 400,
                 repr(body))


def test_numbers(t):
    """Health and metrics tell what has happened, over workers, reload and
    kill -9."""

    sink, dead = Sink(), Sink()

    with Hooks(t, http=QUICK + 'conduit_webhook_breaker 5 60s;') as api:
        health = api.get('/health/webhooks')['checks']['webhooks']
        t.eq((health['succeeded'], health['failed'], health['pending'],
              health['success_rate'], health['retry_rate'],
              health['p95_latency_ms'], health['oldest_pending_seconds']),
             (0, 0, 0, None, None, None, None), 'nothing yet')
        tasks = [api.fire(sink.script('/ok%d' % i, 200)) for i in range(8)]
        tasks.append(api.fire(sink.script('/retry', 500, drop(), 200)))
        tasks.append(api.fire(sink.script('/bad', 404)))
        tasks.append(api.fire(dead.script('/dead', 503)))
        for task in tasks:
            api.settled(task)
        parked = api.fire(dead.url('/dead'))
        wait_for(lambda: api.delivery(parked)['status'] == 'parked',
                 what='the breaker')
        held = api.fire(sink.script('/held', hold()))
        sink.wait('/held', 1)

        def check(when):
            total = 'conduit_webhook_deliveries_total'
            t.eq([api.metric(total, status=word) for word in
                  ('delivered', 'failed', 'dropped')], [9, 2, 0],
                 'deliveries' + when)
            attempts = 'conduit_webhook_attempts_total'
            t.eq([api.metric(attempts, outcome=word) for word in
                  ('ok', 'status', 'protocol', 'timeout', 'dns')],
                 [9, 7, 1, 0, 0], 'attempts by outcome' + when)
            t.eq(api.metric('conduit_webhook_retries_total'), 5,
                 'retries' + when)
            t.eq(api.metric('conduit_webhook_breaker_trips_total'), 1,
                 'trips' + when)
            t.eq([api.metric('conduit_webhook_queue', state=word) for word
                  in ('pending', 'parked')], [1, 1], 'the queue' + when)
            t.eq(api.metric('conduit_webhook_breakers', state='open'), 1,
                 'breakers' + when)
            name = 'conduit_webhook_latency_seconds'
            t.eq((api.metric(name + '_count'),
                  api.metric(name + '_bucket', le='+Inf')), (9, 9),
                 'latency' + when)
            t.between(api.metric(name + '_sum'), 0.2, 60, 'its sum' + when)
            health = api.get('/health/webhooks')['checks']['webhooks']
            t.eq((health['succeeded'], health['failed'], health['pending'],
                  health['parked'], health['breakers_open'],
                  health['breakers_half_open']), (9, 2, 2, 1, 1, 0),
                 'health' + when)
            t.between(health['success_rate'], 0.818, 0.8182,
                      'success rate' + when)
            t.between(health['retry_rate'], 5 / 17 - 0.001, 5 / 17 + 0.001,
                      'retry rate' + when)
            t.ok(health['p95_latency_ms'] > 0
                 and health['oldest_pending_seconds'] >= 0,
                 'latency and age' + when)

        check('')
        r = api.get('/metrics')
        done = subprocess.run(['promtool', 'check', 'metrics'], input=r.body,
                              stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=60)
        t.eq((done.returncode, done.stdout), (0, b''),
             'promtool is content')
        t.ok(api.metric('conduit_http_requests_total',
                        endpoint='webhooks', code='200') > 5, 'the endpoint')
        health = api.get('/health')
        t.eq((health['status'], health['checks']['webhooks']['status']),
             ('Healthy', 'Healthy'),
             'a receiver that is down is no fault of this server')
        api.reload(wait=True)
        check(' after a reload')
        t.ok(not any(word in r.text for word in
                     list(api.secrets) + ['127.0.0.1']), 'no tenant, no URL')


run(test_list, test_show, test_redeliver, test_ping, test_numbers)
