#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# In the company of other modules and directives: subrequests, limits by our
# variables, gzip, proxies, bodies in files, HTTP/2 with many streams.

import gzip
import os
import sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from conduit_api import *

HTTP = '''
    limit_req_zone $conduit_key zone=few:1m rate=1r/m;
    limit_conn_zone $conduit_key zone=conns:1m;

    map $conduit_key $tenant {
        alice    first;
        default  other;
    }

    upstream self {
        server 127.0.0.1:%%PORT%%;
        keepalive 4;
    }
'''

SERVER = '''
        location /limited/ {
            limit_req zone=few;
            conduit_generations image;
            client_max_body_size 1k;
        }
        location = /guarded {
            auth_request /v1/tasks;
            stub_status;
        }
        location = /guarded-post {
            auth_request /v1/images/generations/async;
            stub_status;
        }
        location = /mirrored {
            mirror /v1/images/generations/async;
            mirror_request_body on;
            proxy_pass http://self/tenant;
        }
        location = /mirror-get {
            mirror /v1/tasks;
            stub_status;
        }
        location = /fallback {
            error_page 404 = /v1/tasks;
            return 404;
        }
        location /rewritten/ {
            rewrite ^/rewritten/(.*)$ /v1/tasks/$1 last;
        }
        location = /tenant {
            return 200 $tenant;
        }
        location /zipped/ {
            conduit_generations image;
            gzip on;
            gzip_min_length 1;
            gzip_types application/json text/event-stream;
        }
        location /filed/ {
            conduit_generations image;
            client_body_in_file_only on;
        }
        location /slow/ {
            conduit_generations image;
            limit_rate 20k;
            output_buffers 1 1k;
        }
        location /proxied/ {
            proxy_pass http://self/v1/tasks/;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }
'''


def create(api, path, **more):
    return api.alice.post(path + 'async', dict(
        {'model': 'sandbox-image', 'prompt': 'odd', 'size': '16x16'},
        **more))


def test_company(t):
    with Api(t, workers=2, http=HTTP, server=SERVER,
             gpu=GPU.replace('lease 1s', 'lease 60s')) as api:
        pids = api.workers()
        check_variables(t, api)
        check_subrequests(t, api)
        check_filters(t, api)
        check_proxy(t, api)
        t.eq(api.workers(), pids, 'no worker has died')


def check_variables(t, api):
    t.eq([c.get('/tenant').text for c in (api.alice, api.bob)],
         ['first', 'other'], 'a map by $conduit_key')
    t.eq(api.get('/tenant').text, 'other', 'without a key')
    t.eq([create(api, '/limited/').status for _ in range(2)], [202, 503],
         'limit_req by $conduit_key')
    r = api.bob.post('/limited/async', {'model': 'sandbox-image',
                                        'prompt': 'x' * 2000})
    t.eq((r.status, r.error()), (413, 'request_too_large'),
         'a limit of another key, a body that is too large')


def check_subrequests(t, api):
    t.eq([api.alice.get('/guarded').status, api.get('/guarded').status],
         [200, 401], 'auth_request')
    r = api.alice.post('/guarded-post', {'model': 'sandbox-image',
                                         'prompt': 'x'})
    t.ok(r.status in (200, 403, 405, 500), 'auth_request to a create')
    before = len(api.alice.list(limit=100)['data'])
    r = api.alice.post('/mirrored', {'model': 'sandbox-image',
                                     'prompt': 'mirror'})
    t.eq((r.status, r.text), (200, 'first'), 'a mirror of a create')
    r = api.alice.get('/mirror-get')
    t.eq(r.status, 200, 'a mirror of a list')
    t.ok(len(api.alice.list(limit=100)['data']) - before <= 1,
         'makes no more than one task')
    r = api.alice.get('/fallback')
    t.eq((r.status, r['object']), (200, 'list'), 'error_page')
    task = create(api, IMAGES + '/')['task_id']
    r = api.alice.get('/rewritten/' + task)
    t.eq((r.status, r['task_id']), (200, task), 'rewrite')


def check_filters(t, api):
    r = create(api, '/zipped/')
    t.eq(r['check_status_url'], '/zipped/' + r['task_id'],
         'another location')
    task = r['task_id']
    api.alice.wait(task)
    accept = {'Accept-Encoding': 'gzip'}
    r = api.alice.get('/zipped/' + task, accept)
    t.eq((r.status, r.header('content-encoding')), (200, 'gzip'), 'gzip')
    d = json.loads(gzip.decompress(r.body))
    t.eq(d['status'], 'completed', 'is whole')
    again = api.alice.get('/zipped/' + task, dict(
        accept, **{'If-None-Match': r.header('etag')}))
    t.eq(again.status, 304, 'its ETag matches')
    r = api.alice.get('/zipped/%s/events' % task, accept)
    text = r.body
    if r.header('content-encoding') == 'gzip':
        text = gzip.decompress(text)
    t.like(text.decode(), '^event: status\n', 'a stream by gzip')

    r = create(api, '/filed/', pad='p' * 5000)
    t.eq(r.status, 202, 'bodies in files only')
    d = api.alice.run(create(api, '/slow/', size='256x256'))
    begin = time.monotonic()
    r = api.alice.get('/slow/' + d['task_id'])
    t.eq(r.json(), d, 'limit_rate')
    t.ok(time.monotonic() - begin > 0.2, 'limits')


def check_proxy(t, api):
    task = api.alice.image('sandbox:duration=600ms', size='16x16')
    task = task['task_id']
    api.alice.until(task, lambda d: d['status'] == 'processing')
    stream = Events(api.alice, '/proxied/%s/events' % task)
    seen = [d['status'] for _, d in stream]
    t.ok(seen[0] == 'processing' and seen[-1] == 'completed',
         'an event stream over a proxy') or t.diag(seen)
    r = api.alice.get('/proxied/' + task, {'Prefer': 'wait=5',
                                           'If-None-Match': '"1"'})
    t.eq((r.status, r['status']), (200, 'completed'), 'a poll over it')


def curl(api, *arguments):
    return subprocess.Popen(
        ['curl', '-sS', '--http2', '--cacert', api.path('ca.pem'), '-H',
         'Authorization: Bearer ' + api.alice.key] + list(arguments),
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


def test_streams(t):
    """Many streams on one connection of HTTP/2."""

    with Api(t, workers=1, tls=True, gpu=GPU.replace('1s', '60s'),
             sandbox='') as api:
        base = 'https://localhost:%d%s/' % (api.port(1), TASKS)
        tasks = [api.alice.image('s', 'gpu-image')['task_id']
                 for _ in range(40)]
        for _ in tasks:
            api.robot.worker('claim', {})
        last = tasks[-1]
        polls = curl(api, '--parallel', '--parallel-max', '60',
                     '-H', 'Prefer: wait=30', *[base + x for x in tasks])
        stream = curl(api, '-N', base + last + '/events')
        wait_for(lambda: api.metric('conduit_http_waiting') or 1, 1)

        def complete(task):
            return api.robot.worker('tasks/%s/complete' % task, {
                'data': [{'url': 'https://example.com/a.png'}]}).status

        t.eq({complete(x) for x in tasks}, {200}, 'all are completed')
        out = polls.communicate(timeout=60)[0].decode()
        t.eq((out.count('"status":"completed"'), out.count('"task_id"')),
             (40, 40), 'all streams of a connection are answered')
        out = stream.communicate(timeout=60)[0].decode()
        t.like(out, '"status":"completed"', 'and an event stream')

        # streams that are reset, and connections that are closed

        task = api.alice.image('s', 'gpu-image')['task_id']
        gone = [curl(api, '--max-time', '0.5', '-H', 'Prefer: wait=30',
                     base + task + suffix)
                for suffix in ('', '/events') * 6]
        gone.append(curl(api, '--max-time', '0.5', '--parallel',
                         '-H', 'Prefer: wait=30', *[base + task] * 20))
        for process in gone:
            process.communicate(timeout=60)
        pid = api.workers()
        api.robot.worker('claim', {})
        t.eq(complete(task), 200, 'clients have gone')
        t.eq((api.alice.document(task)['status'], api.workers()),
             ('completed', pid), 'the worker has not')


run(test_company, test_streams)
