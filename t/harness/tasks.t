#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# Create, status, list, cancel, retry, events; with 1, 2 and 4 workers.

import os
import sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from conduit_api import *


def check_create(t, api):
    r = api.alice.image('a red fox', webhook_metadata={'id': 12})
    task = r['task_id']
    t.eq(r.status, 202, 'create answers 202')
    t.ok(UUID.match(task or ''), 'the id is a UUID v4')
    t.eq({name: value for name, value in r.json().items()
          if name != 'created_at'},
         {'task_id': task, 'taskId': task, 'status': 'pending',
          'check_status_url': '%s/%s' % (IMAGES, task), 'progress': 0,
          'queue_position': None}, 'body of the create')
    t.ok(TIME.match(r['created_at']), 'created_at is ISO 8601 UTC')
    t.ok((r.header('location') or '').endswith(r['check_status_url']),
         'Location')
    t.ok(r.header('x-request-id'), 'X-Request-Id')

    r = api.alice.get('%s/%s' % (IMAGES, task))
    d = r.json()
    t.eq(r.status, 200, 'status answers 200')
    t.eq(MEMBERS - set(d), set(), 'all members are there')
    t.ok(d['status'] in ('pending', 'processing'), 'it has not ended')
    t.eq((d['object'], d['type'], d['model'], d['metadata'], d['webhook']),
         ('task', 'image', 'sandbox-image', {'id': 12}, None), 'members')
    t.eq(r.header('etag'), '"%d"' % d['sequence'], 'ETag is the sequence')
    t.eq(r.header('cache-control'), 'no-store', 'Cache-Control')
    t.eq(r.header('retry-after'), '5', 'Retry-After')
    t.eq(r.header('openai-poll-after-ms'), '5000', 'openai-poll-after-ms')
    t.ok('fox' not in r.text, 'no prompt in the document')
    r = api.alice.get('%s/%s?include=prompt' % (IMAGES, task))
    t.eq(r['prompt'], 'a red fox', 'the prompt when asked for')

    d = api.alice.wait(task)
    check_completed(t, api, d)
    return task


def check_completed(t, api, d):
    t.eq((d['status'], d['progress'], d['error'], d['error_code']),
         ('completed', 100, None, None), 'completed')
    t.ok(all(TIME.match(d[name] or '') for name in
             ('started_at', 'updated_at', 'completed_at', 'expires_at')),
         'times')
    t.ok(d['created_at'] <= d['started_at'] <= d['completed_at'],
         'times in order')
    t.ok(isinstance(d['generation_duration_seconds'], (int, float))
         and 0.1 <= d['generation_duration_seconds'] <= 5 * BUSY,
         'generation_duration_seconds')
    data = d['result']['data']
    t.eq(len(data), 1, 'one result')
    t.ok(data[0]['b64_json'].startswith('iVBORw0KGgo'), 'a PNG as base64')
    t.eq(data[0]['mime_type'], 'image/png', 'mime_type')
    t.eq(d['result']['model'], 'sandbox-image', 'result.model')
    t.ok('image_url' in d and d['image_url'] is None,
         'image_url is null without media')

    r = api.alice.status(d['task_id'])
    t.eq(r.header('cache-control'), 'private, no-cache',
         'Cache-Control at the end')
    t.eq((r.header('retry-after'), r.header('openai-poll-after-ms')),
         (None, None), 'no Retry-After at the end')

    etag = r.header('etag')
    for value in (etag, 'W/' + etag, '"9999", ' + etag, '*'):
        r = api.alice.status(d['task_id'], {'If-None-Match': value,
                                            'Prefer': 'wait=20'})
        t.eq((r.status, r.body, r.header('etag')), (304, b'', etag),
             'If-None-Match %s' % value)
    r = api.alice.status(d['task_id'], {'If-None-Match': '"9999"'})
    t.eq(r.status, 200, 'another ETag')


def check_foreign(t, api, task):
    path = '%s/%s' % (IMAGES, task)
    for method, suffix in (('GET', ''), ('GET', '/events'), ('DELETE', ''),
                           ('POST', '/cancel'), ('POST', '/retry'),
                           ('GET', '/status')):
        r = api.bob.request(method, path + suffix)
        t.eq((r.status, r.error()), (404, 'task_not_found'),
             'foreign: %s %s' % (method, suffix))

    for bad in ('x', task.upper(), task[:-1], task + '0', '%01', '..;',
                '00000000-0000-4000-8000-000000000000'):
        r = api.alice.get('%s/%s' % (IMAGES, bad))
        t.eq(r.status, 404, 'no task: ' + bad)

    r = api.alice.get('%s/%s' % (VIDEOS, task))
    t.eq((r.status, r.error()), (404, 'task_not_found'),
         'an image is no video')


def check_spellings(t, api):
    task = api.alice.image('sandbox:duration=60s')['task_id']
    api.alice.until(task, lambda d: d['status'] == 'processing')
    words = [api.alice.get(path % task)['status'] for path in (
        IMAGES + '/%s', IMAGES + '/%s/status', IMAGES + '/tasks/%s',
        TASKS + '/%s')]
    t.eq(words, ['processing', 'running', 'Running', 'processing'],
         'words of the spellings')
    r = api.alice.get(IMAGES + '/%s/status' % task)
    again = api.alice.get(IMAGES + '/%s/status' % task,
                          {'If-None-Match': r.header('etag')})
    t.eq(again.status, 304, '304 of a spelling')
    return task


def check_cancel(t, api, task):
    before = api.alice.document(task)
    r = api.alice.request('DELETE', '%s/%s' % (IMAGES, task))
    d = r.json()
    t.eq((r.status, d['status'], d['error'], d['error_code']),
         (200, 'cancelled', 'Task was cancelled', 'cancelled'), 'cancelled')
    t.ok(d['progress'] >= before['progress'], 'progress is kept')
    t.ok(d['sequence'] > before['sequence'], 'sequence has risen')
    t.ok(d['completed_at'], 'completed_at')

    for method, path in (('DELETE', ''), ('POST', '/cancel')):
        r = api.alice.request(method, '%s/%s%s' % (TASKS, task, path))
        t.eq((r.status, r.error(), r.header('x-should-retry')),
             (409, 'task_terminal', 'false'), 'again: ' + method)

    r = api.alice.retry(task)
    t.eq((r.status, r.error(), r.header('x-should-retry')),
         (409, 'task_not_failed', 'false'), 'no retry of a cancelled task')

    task = api.alice.video('slow: clip')['task_id']
    r = api.alice.post('%s/%s/cancel' % (VIDEOS, task))
    t.eq((r.status, r['status']), (200, 'cancelled'), 'POST cancel')


def check_retry(t, api):
    prompt = 'sandbox:error=content_policy_violation sandbox:error_at=50'
    r = api.alice.image(prompt)
    task = r['task_id']
    d = api.alice.wait(task)
    t.eq((d['status'], d['error'], d['error_code']),
         ('failed', 'Content policy violation detected',
          'content_policy_violation'), 'failed')
    t.ok(d['progress'] <= 50, 'progress stays where it was')

    r = api.alice.post('%s/%s/retry' % (IMAGES, task))
    t.eq(r.status, 202, 'retry answers 202')
    t.ok((r.header('location') or '').endswith(task), 'Location of a retry')
    t.eq((r['task_id'], r['status'], r['progress'], r['created_at']),
         (task, 'pending', 0, d['created_at']), 'body of a retry')

    again = api.alice.wait(task)
    t.eq(again['status'], 'failed', 'failed again')
    t.ok(again['sequence'] > d['sequence'], 'the sequence goes on')

    d = api.alice.run(api.alice.image('sandbox:error=no_such_code'))
    t.eq(d['error_code'], 'provider_error', 'unknown codes')


def check_events(t, api):
    task = api.alice.image('sandbox:duration=400ms sandbox:progress=9')
    stream = api.alice.events(task['task_id'])
    t.eq(stream.head.status, 200, 'event stream')
    t.like(stream.head.header('content-type'), '^text/event-stream',
           'type of the stream')
    t.eq((stream.head.header('cache-control'),
          stream.head.header('x-accel-buffering')), ('no-store', 'no'),
         'headers of the stream')
    seen = list(stream)
    ids = [int(i) for i, _ in seen]
    t.eq(ids, sorted(set(ids)), 'ids rise')
    t.eq(ids, [d['sequence'] for _, d in seen], 'id is the sequence')
    t.eq(seen[-1][1]['status'], 'completed', 'the end is seen')
    progress = [d['progress'] for _, d in seen]
    t.eq(progress, sorted(progress), 'progress never goes back')
    t.ok(len(seen) >= 4, 'progress is seen')
    t.ok(all(d['progress'] < 100 for _, d in seen[:-1]),
         '100 only when completed')

    r = api.alice.status(task['task_id'], {'Accept': 'text/event-stream'})
    t.like(r.text, r'^event: status\nid: \d+\ndata: \{.*\}\n\n$',
           'an event stream by Accept')
    r = api.alice.status(task['task_id'], {'Last-Event-ID': str(ids[-1])},
                         '/events')
    t.eq(r.status, 204, 'Last-Event-ID of an ended task')
    with api.alice.connect() as c:
        r = c.request('HEAD', '%s/%s/events' % (TASKS, task['task_id']),
                      None, None, api.alice.key)
        t.eq((r.status, r.body), (200, b''), 'HEAD of an event stream')


def check_wait(t, api):
    r = api.alice.image('quick', headers={'Prefer': 'wait=10'})
    t.eq((r.status, r['status'], r.header('preference-applied')),
         (200, 'completed', 'wait=10'), 'create waits for the end')
    r = api.alice.image('sandbox:duration=60s',
                        headers={'Prefer': 'respond-async, wait=1'})
    t.eq((r.status, r.header('preference-applied')), (202, 'wait=1'),
         'or for its time')
    t.ok('check_status_url' in r.json(), 'with the body of a create')
    task = r['task_id']
    started = time.monotonic()
    r = api.alice.status(task, {'Prefer': 'wait=1'})
    t.ok(time.monotonic() - started >= 0.9, 'a poll waits')
    t.eq((r.status, r.header('preference-applied')), (200, 'wait=1'),
         'and answers at the end of its time')
    for value in ('wait=0', 'wait=-1', 'wait=x', 'wait='):
        r = api.alice.status(task, {'Prefer': value})
        t.eq((r.status, r.header('preference-applied')), (200, None),
             'ignored: Prefer: ' + value)

    def cancel():
        time.sleep(0.2)
        api.alice.cancel(task)

    thread = threading.Thread(target=cancel)
    thread.start()
    r = api.alice.status(task, {'Prefer': 'wait=20'})
    thread.join()
    t.eq((r.status, r['status']), (200, 'cancelled'),
         'a waiting poll sees the end at once')


def check_list(t, api):
    make = [api.lister.image('one %d' % i)['task_id'] for i in range(3)]
    make += [api.lister.video('sandbox:duration=60s')['task_id']
             for _ in range(2)]
    for task in make[:3]:
        api.lister.wait(task)
    api.lister.until(make[3], lambda d: d['status'] == 'processing')

    r = api.lister.list()
    t.eq((r.status, r['object'], r['has_more']), (200, 'list', False),
         'list')
    t.eq([d['task_id'] for d in r['data']], make[::-1], 'newest first')
    t.eq((r['first_id'], r['last_id']), (make[-1], make[0]),
         'first_id, last_id')
    t.eq(MEMBERS - set(r['data'][0]), set(), 'whole documents')

    seen, after = [], {}
    for _ in range(3):
        r = api.lister.list(limit=2, order='asc', **after)
        seen += [d['task_id'] for d in r['data']]
        after = {'after': r['last_id']}
        if not r['has_more']:
            break
    t.eq(seen, make, 'pages in ascending order')

    for query, expected in (
            ({'status': 'completed'}, make[2::-1]),
            ({'type': 'video'}, make[:2:-1]),
            ({'status': 'processing', 'type': 'image'}, []),
            ({'model': 'sandbox-video'}, make[:2:-1])):
        r = api.lister.list(**query)
        t.eq([d['task_id'] for d in r['data']], expected,
             'list %r' % query)

    t.eq((r['has_more'],), (False,), 'no more')
    r = api.bob.list(status='failed', type='video')
    t.eq((r['data'], r['first_id'], r['last_id'], r['has_more']),
         ([], None, None, False), 'an empty list')

    for name, value in (('limit', '0'), ('limit', '101'), ('limit', 'x'),
                        ('status', 'done'), ('type', 'audio'),
                        ('order', 'up'), ('after', make[0] + 'x')):
        r = api.lister.list(**{name: value})
        t.eq((r.status, r.error('param')), (400, name),
             'bad %s=%s' % (name, value))
    r = api.bob.list(after=make[0])
    t.eq((r.status, r.error('param')), (400, 'after'), 'foreign after')

    for task in make[3:]:
        api.lister.cancel(task)
    r = api.lister.list(status='cancelled')
    t.eq(sorted(d['task_id'] for d in r['data']), sorted(make[3:]),
         'cancelled ones')


def check(t, workers):
    with Api(t, workers=workers, keys={'lister': ''}) as api:
        api.private.append('a red fox')
        task = check_create(t, api)
        check_foreign(t, api, task)
        check_cancel(t, api, check_spellings(t, api))
        check_retry(t, api)
        check_events(t, api)
        check_wait(t, api)
        check_list(t, api)


def test_one_worker(t):
    check(t, 1)


def test_two_workers(t):
    check(t, 2)


def test_four_workers(t):
    check(t, 4)


run(test_one_worker, test_two_workers, test_four_workers)
