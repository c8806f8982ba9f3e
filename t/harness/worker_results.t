#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# The pull API: results of all forms, workers that go away, slots, fallback.

import base64
import os
import sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from conduit_api import *

URL = 'https://example.com/a.webp?x=1.png'

GPUS = '''
    conduit_provider gpu { type worker; kind image video; lease 30s; }
    conduit_provider one { type worker; lease 30s; limit concurrency=1; }
    conduit_model gpu-image provider=gpu kind=image fallback=sandbox-image;
    conduit_model gpu-video provider=gpu kind=video;
    conduit_model one provider=one kind=image;
'''


def png(size):
    """A picture's head, and bytes that do not compress."""

    return b'\x89PNG\r\n\x1a\n' + os.urandom(size)


def b64(data):
    return base64.b64encode(data).decode()


def claim(api, **body):
    r = api.robot.worker('claim', body)
    if r.status != 200:
        raise AssertionError('claim: %r' % r)
    return r['task_id']


def leased(api, **more):
    task = api.alice.image('a picture', 'gpu-image', **more)['task_id']
    api.t.eq(claim(api, models=['gpu-image']), task, 'claimed')
    return task


def complete(api, task, *data):
    return api.robot.worker('tasks/%s/complete' % task, {'data': list(data)})


def check_files(t, api):
    data = png(300000)
    task = leased(api, n=2)
    r = complete(api, task, {'b64_json': b64(data)}, {'url': URL})
    t.eq((r.status, r['status']), (200, 'completed'), 'complete')
    d = api.alice.document(task)
    one, two = d['result']['data']
    t.like(one['url'], r'^/media/[0-9a-f]{32}\.png$', 'base64 becomes a file')
    t.eq((one['mime_type'], d['image_urls']), ('image/png',
                                               [one['url'], URL]), 'its type')
    t.ok(TIME.match(one['expires_at'] or ''), 'and its end')
    t.eq((two['url'], two['mime_type'], two['expires_at']),
         (URL, 'image/webp', None), 'a URL is handed on')
    t.eq(api.get(one['url']).body, data, 'the file')

    task = leased(api)
    r = complete(api, task, {'b64_json': 'data:image/png;base64,'
                             + b64(png(100))})
    t.like(api.alice.document(task)['image_url'], r'^/media/.*\.png$',
           'a data URL')

    task = leased(api, response_format='b64_json')
    complete(api, task, {'b64_json': b64(data)})
    d = api.alice.document(task)
    t.eq((d['result']['data'][0]['b64_json'], d['image_url']),
         (b64(data), None), 'base64 for those who want it')


def check_bad(t, api):
    task = leased(api)
    good = {'url': URL}

    for bad, param in (('x', 'data[1]'), ({}, 'data[1]'), (None, 'data[1]'),
                       ({'url': URL, 'b64_json': 'AAAA'}, 'data[1]'),
                       ({'url': 1}, 'data[1].url'),
                       ({'url': 'ftp://example.com/a'}, 'data[1].url'),
                       ({'url': 'https://'}, 'data[1].url'),
                       ({'url': 'http://e.com/' + 8200 * 'a'}, 'data[1].url'),
                       ({'url': 'http://e.com/a b'}, 'data[1].url'),
                       ({'b64_json': ''}, 'data[1].b64_json'),
                       ({'b64_json': [1]}, 'data[1].b64_json'),
                       ({'b64_json': 'A?=='}, 'data[1].b64_json')):
        r = complete(api, task, good, bad)
        t.eq((r.status, r.error('param')), (400, param),
             'bad result %.40r' % (bad,))

    r = complete(api, task, {'b64_json': b64(png(10))}, {'b64_json': 'AAA'})
    t.eq((r.status, r.error('param')), (400, 'data[1].b64_json'),
         'one of two is bad')

    for body in (b'[]', b'{"data":', b'{"data":[],"data":[]}', b'\0'):
        r = api.robot.post(WORKER + 'tasks/%s/complete' % task, body)
        t.eq((r.status, r.error()), (400, 'invalid_json'), 'bad JSON')

    for body, param in (({'lease_id': 7}, 'lease_id'),
                        ({'progress': 1, 'message': 1}, 'message'),
                        ({'progress': 1, 'estimated_seconds_remaining': -1},
                         'estimated_seconds_remaining')):
        r = api.robot.worker('tasks/%s/progress' % task, body)
        t.eq((r.status, r.error('param')), (400, param), 'bad ' + param)

    for body, param in (({'error': 1}, 'error'),
                        ({'error_code': []}, 'error_code'),
                        ({'retryable': 'yes'}, 'retryable')):
        r = api.robot.worker('tasks/%s/fail' % task, body)
        t.eq((r.status, r.error('param')), (400, param), 'bad ' + param)

    r = api.robot.worker('tasks/%s/complete' % task,
                         {'data': [good], 'lease_id': 'abc'})
    t.eq((r.status, r.error()), (409, 'lease_lost'), 'an unknown lease_id')
    r = complete(api, task, {'url': URL})
    t.eq((r.status, r['status']), (200, 'completed'),
         'none of them has cost the lease')
    wait_for(lambda: len(os.listdir(api.path('media'))) == 2,
             what='the removal of unwanted files')


def check_too_large(t, api):
    task = leased(api)
    r = complete(api, task, {'b64_json': b64(png((1 << 20) + 1))})
    t.eq((r.status, r['status']), (200, 'failed'), 'larger than max_size')
    t.eq(api.alice.document(task)['error_code'], 'result_too_large', 'why')


def check_text(t, api):
    task = leased(api)
    r = api.robot.worker('tasks/%s/progress' % task,
                         {'progress': 1, 'message': 'é' * 600})
    t.eq(r.status, 200, 'a long message')
    d = api.alice.document(task)
    t.eq(d['message'], 'é' * 500, 'is cut')
    api.robot.worker('tasks/%s/fail' % task, {
        'error': '"' + '画' * 600, 'error_code': 'content_policy_violation'})
    d = api.alice.document(task)
    t.eq((d['error'], d['error_code']),
         ('"' + '画' * 499, 'content_policy_violation'), 'so is an error')


def check_fallback(t, api):
    task = leased(api)
    r = api.robot.worker('tasks/%s/fail' % task, {
        'error_code': 'provider_unavailable'})
    t.eq((r.status, r['status']), (200, 'processing'), 'not the end')
    d = api.alice.wait(task)
    t.eq((d['status'], d['model']), ('completed', 'gpu-image'), 'fallback')
    task = leased(api)
    api.robot.worker('tasks/%s/fail' % task, {'error_code': 'timeout'})
    t.eq(api.alice.document(task)['status'], 'failed', 'not for all codes')


def waiting(api):
    return int(api.get('/nginx').text.split()[2]) - 1


def settled(api):
    """Connections of earlier requests may still be about to close."""

    wait_for(lambda: waiting(api) == 0, what='the end of all others')
    return 0


def check_gone(t, api):
    """What nobody waits for any more is not given away."""

    idle = settled(api)
    request = api.robot.encode('POST', WORKER + 'claim', {
        'models': ['gpu-video'], 'wait': 30})
    gone = [api.robot.connect() for _ in range(5)]
    for c in gone:
        c.send(request)
    wait_for(lambda: waiting(api) == idle + 5, what='waiting claims')
    for c in gone:
        c.close()
    wait_for(lambda: waiting(api) == idle, what='the end of them')

    # these have gone before a worker has read what they want

    with api.asleep():
        for _ in range(5):
            with api.robot.connect() as c:
                c.send(request)

    wait_for(lambda: api.access_log().count('claim HTTP/1.1" 499') == 10,
             what='the end of these')

    task = api.alice.video('for another', 'gpu-video')['task_id']
    t.eq(claim(api, models=['gpu-video']), task, 'it is there for another')

    body = {'data': [{'b64_json': b64(png(700000))}]}
    c = api.robot.connect()
    c.send(api.robot.encode('POST', WORKER + 'tasks/%s/complete' % task,
                            body))
    c.close()
    d = api.alice.wait(task)
    t.like(d['video_url'], r'^/media/', 'work of a client that has gone')


def check_slots(t, api):
    tasks = [api.alice.image('slot', 'one')['task_id'] for _ in range(2)]
    first = claim(api, models=['one'])
    t.eq(api.robot.worker('claim', {'models': ['one']}).status, 204,
         'all slots are taken')
    second = []
    thread = threading.Thread(
        target=lambda: second.append(claim(api, models=['one'], wait=20)))
    idle = settled(api)
    thread.start()
    wait_for(lambda: waiting(api) == idle + 1, what='a waiting claim')
    began = time.monotonic()
    complete(api, first, {'url': URL})
    thread.join()
    t.eq({first, second[0]}, set(tasks), 'a free slot is given on')
    t.between(time.monotonic() - began, 0, 2 * BUSY, 'at once')
    complete(api, second[0], {'url': URL})


def check(t, workers):
    http = '''
        conduit_media %%DIR%%/media url=/media max_size=1m;
        client_max_body_size 8m;
    '''

    with Api(t, workers=workers, gpu=GPUS, http=http, server='''
             location /media/ { alias %%DIR%%/media/; }
             location = /nginx { stub_status; }''') as api:
        check_files(t, api)
        check_bad(t, api)
        check_too_large(t, api)
        check_text(t, api)
        check_fallback(t, api)
        check_gone(t, api)
        check_slots(t, api)


def test_one_worker(t):
    check(t, 1)


def test_three_workers(t):
    check(t, 3)


def test_inline(t):
    """Without conduit_media, and more than the zone holds."""

    with Api(t, gpu=GPUS, zone='conduit:2m',
             http='client_max_body_size 8m;') as api:
        data = png(20000)
        task = leased(api)
        complete(api, task, {'b64_json': b64(data)})
        d = api.alice.document(task)
        t.eq((d['result']['data'], d['image_url']), ([{
            'b64_json': b64(data), 'mime_type': 'image/png',
            'expires_at': None}], None), 'base64 stays what it is')

        task = leased(api)
        r = complete(api, task, {'b64_json': b64(png(3 << 20))})
        t.eq((r.status, r['status']), (200, 'failed'), 'no room in the zone')
        d = api.alice.document(task)
        t.eq((d['status'], d['error_code'], d['result']),
             ('failed', 'result_too_large', None), 'why')


run(test_one_worker, test_three_workers, test_inline)
