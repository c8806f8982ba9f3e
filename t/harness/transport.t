#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# HTTP/1.1, HTTP/2 and TLS: bodies of all kinds, connections, HEAD, OPTIONS.

import os
import sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from conduit_api import *

CREATE = {'model': 'sandbox-image', 'prompt': 'transport'}


def curl(api, *arguments):
    """curl over TLS; (HTTP version, status, body)."""

    done = subprocess.run(
        ['curl', '-sS', '--max-time', '30', '--cacert',
         api.path('ca.pem'), '-H', 'Authorization: Bearer '
         + api.secrets['alice'], '-w', '\n%{http_version} %{http_code}']
        + list(arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        timeout=60)
    body, _, last = done.stdout.decode().rpartition('\n')
    version, _, status = last.partition(' ')
    return version, int(status or 0), body + done.stderr.decode()


def test_tls(t):
    with Api(t, workers=2, tls=True, server='client_body_buffer_size 4k;'
             ) as api:
        base = 'https://localhost:%d' % api.port(1)

        for flag, version in (('--http1.1', '1.1'), ('--http2', '2')):
            v, status, body = curl(api, flag, base + IMAGES + '/async',
                                   '-d', json.dumps(CREATE))
            t.eq((v, status), (version, 202), version + ': create')
            task = json.loads(body)['task_id']
            v, status, body = curl(api, flag, '-H', 'Prefer: wait=20',
                                   '%s%s/%s' % (base, TASKS, task))
            t.eq((status, json.loads(body)['status']), (200, 'completed'),
                 version + ': a waiting poll')
            v, status, body = curl(api, flag, '-N', '%s%s/%s/events'
                                   % (base, TASKS, task))
            t.eq(status, 200, version + ': an event stream')
            t.like(body, r'(?s)^event: status\n.*"completed"',
                   version + ': which ends')
            v, status, body = curl(api, flag, '-X', 'DELETE', '%s%s/%s'
                                   % (base, TASKS, task))
            t.eq(status, 409, version + ': an error')
            v, status, body = curl(api, flag, base + IMAGES, '-d',
                                   json.dumps(CREATE))
            t.eq(status, 200, version + ': sync')
            api.write('large.json', json.dumps(dict(
                CREATE, prompt='x' * 30000, pad='y' * 200000)))
            v, status, body = curl(api, flag, base + IMAGES + '/async',
                                   '-d', '@' + api.path('large.json'))
            t.eq((v, status), (version, 202), version + ': a large body')
            v, status, body = curl(api, flag, '-I', base + TASKS)
            t.eq(status, 200, version + ': HEAD')
            v, status, body = curl(api, flag, base + '/health')
            t.eq((status, json.loads(body)['status']), (200, 'Healthy'),
                 version + ': health')

        client = Client(api.port(1), api.secrets['alice'], tls=True)
        task = client.image('sandbox:duration=1s')['task_id']
        seen = [d['status'] for _, d in client.events(task)]
        t.eq(seen[-1], 'completed', 'an event stream over TLS')
        with client.connect() as c:
            data = client.encode('GET', TASKS) * 5
            c.send(data)
            t.eq([c.read_response().status for _ in range(5)], [200] * 5,
                 'pipelined requests in one TLS record')


def test_bodies(t):
    with Api(t, workers=2, server='''
             client_body_buffer_size 1k;
             client_max_body_size 256k;''') as api:
        path = IMAGES + '/async'
        small = json.dumps(CREATE).encode()
        large = json.dumps(dict(CREATE, prompt='p' * 31000)).encode()
        key = api.alice.key

        for body, name in ((small, 'small'), (large, 'large')):
            r = api.request('POST', path, None, body, key)
            t.eq(r.status, 202, name + ': with a length')
            parts = [body[i:i + 700] for i in range(0, len(body), 700)]
            r = api.request('POST', path, None, None, key, chunks=parts)
            t.eq(r.status, 202, name + ': chunked')
            r = api.request('POST', path, {'Expect': '100-continue'},
                            body, key)
            t.eq((r.status, r.interim), (202, [100]),
                 name + ': Expect: 100-continue')

        d = api.alice.get('%s/%s?include=prompt' % (IMAGES, r['task_id']))
        t.eq(d['prompt'], 'p' * 31000, 'a body in a file is read whole')

        with api.connect() as c:
            for byte in encode_request('POST', path, None, small, key):
                c.send(bytes([byte]))
            t.eq(c.read_response('POST').status, 202, 'byte by byte')

        huge = json.dumps(dict(CREATE, prompt='p' * 300000)).encode()
        for name, more in (('with a length', {'body': huge}),
                           ('chunked', {'chunks': [
                               huge[i:i + 8000]
                               for i in range(0, len(huge), 8000)]})):
            r = api.request('POST', path, key=key, **more)
            t.eq((r.status, r.error(), r.error('type')),
                 (413, 'request_too_large', 'invalid_request_error'),
                 '413 ' + name) or t.diag(r)

        r = api.request('POST', path, None, b'', key)
        t.eq((r.status, r.error()), (400, 'invalid_json'), 'an empty body')
        r = api.request('POST', path, None, b'{"model":', key)
        t.eq((r.status, r.error()), (400, 'invalid_json'), 'broken JSON')


def test_connections(t):
    """What a keep-alive connection survives."""

    with Api(t, workers=2, keys={'off': 'disabled;', 'few': 'tasks 1;'}
             ) as api:
        body = dict(CREATE, pad='z' * 50000)
        key = api.alice.key

        with api.connect() as c:
            for path, k, status in (
                    (IMAGES + '/async', 'wrong', 401),
                    (IMAGES + '/async', api.off.key, 403),
                    (IMAGES + '/async/nowhere', key, 404),
                    (TASKS, key, 405),
                    (IMAGES + '/async', None, 401),
                    (IMAGES + '/async', api.few.key, 202),
                    (IMAGES + '/async', api.few.key, 429),
                    (IMAGES + '/async', key, 202)):
                r = c.request('POST', path, None, body, k)
                t.eq(r.status, status, '%d on a kept connection' % status)
                t.ok(r.header('content-type') == 'application/json',
                     'as JSON')
                t.ok(r.header('x-request-id'), 'with X-Request-Id')

        with api.connect() as c:
            many = [encode_request('POST', IMAGES + '/async', None, CREATE,
                                   key) for _ in range(20)]
            c.send(b''.join(many))
            t.eq([c.read_response('POST').status for _ in many], [202] * 20,
                 'pipelined creates')

        for i in range(30):
            with api.connect() as c:
                task = api.alice.image('sandbox:duration=300ms')['task_id']
                c.send(encode_request('GET', '%s/%s%s' % (
                    TASKS, task, '/events' if i % 2 else ''),
                    {'Prefer': 'wait=20'}, None, key))
        api.alice.wait(task)
        t.eq(api.alice.document(task)['status'], 'completed',
             'clients that leave while they wait')


def test_methods(t):
    with Api(t, workers=1, server='conduit_cors https://a.example '
             'https://b.example;') as api:
        task = api.alice.image('x')['task_id']
        api.alice.wait(task)
        one = '%s/%s' % (IMAGES, task)

        for path in (one, TASKS, '%s/%s' % (TASKS, task), '/health',
                     '/metrics', IMAGES + '/%s/status' % task):
            get = api.alice.get(path)
            head = api.alice.request('HEAD', path)
            t.eq((head.status, head.body,
                  head.header('content-type'), head.header('etag')),
                 (200, b'', get.header('content-type'),
                  get.header('etag')), 'HEAD ' + path)

        for path, words in ((one, {'GET', 'HEAD', 'DELETE', 'OPTIONS'}),
                            (IMAGES + '/async', {'POST', 'OPTIONS'}),
                            (TASKS, {'GET', 'HEAD', 'OPTIONS'}),
                            ('/health', {'GET', 'HEAD', 'OPTIONS'}),
                            (WORKER + 'claim', {'POST', 'OPTIONS'})):
            r = api.request('OPTIONS', path)
            allow = {w.strip() for w in (r.header('allow') or '').split(',')}
            t.eq((r.status, words - allow), (204, set()), 'OPTIONS ' + path)
            t.eq(r.header('access-control-allow-origin'), None,
                 'without Origin')
            r = api.robot.request('PATCH', path)
            t.eq((r.status, r.error() if 'health' not in path else None),
                 (405, 'method_not_allowed' if 'health' not in path
                  else None), '405 ' + path)
            t.ok(r.header('allow'), 'with Allow')

        r = api.request('OPTIONS', one, {
            'Origin': 'https://b.example',
            'Access-Control-Request-Method': 'DELETE',
            'Access-Control-Request-Headers': 'authorization, prefer'})
        t.eq(r.header('access-control-allow-origin'), 'https://b.example',
             'preflight')
        t.like(r.header('access-control-allow-methods') or '', 'DELETE',
               'its methods')
        t.like((r.header('access-control-allow-headers') or '').lower(),
               'authorization', 'its headers')
        r = api.alice.get(one, {'Origin': 'https://a.example'})
        t.eq(r.header('access-control-allow-origin'), 'https://a.example',
             'a reply')
        t.like((r.header('access-control-expose-headers') or '').lower(),
               'etag', 'exposed headers')
        t.like((r.header('vary') or '').lower(), 'origin', 'Vary')
        r = api.get(one, headers={'Origin': 'https://a.example'})
        t.eq((r.status, r.header('access-control-allow-origin')),
             (401, 'https://a.example'), 'an error')
        r = api.alice.get(one, {'Origin': 'https://evil.example'})
        t.eq(r.header('access-control-allow-origin'), None, 'not listed')


run(test_tls, test_bodies, test_connections, test_methods)
