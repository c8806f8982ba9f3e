#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# Providers that lie: replies that no documentation shows.  Every task ends,
# what is handed out is sound, and nothing is requested elsewhere.

import os
import sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from conduit_api import *

# a connection that ends without a word could take another submit with it

OK = ('HTTP/1.1 200 OK\r\nConnection: close\r\n'
      'Content-Type: application/json\r\n')


def whole(body):
    return OK + 'Content-Length: %d\r\n\r\n%s' % (len(body), body)


# replies to a submit of /v1/videos: (step, error_code)

SUBMITS = {
    'no-http': ({'raw': 'hello world\n'}, 'provider_unknown'),
    'no-status': ({'raw': 'HTTP/1.1 \r\n\r\n'}, 'provider_unknown'),
    'huge-header': ({'raw': OK + 'X: ' + 'x' * 400000 + '\r\n\r\n{}'},
                    'provider_unknown'),
    'many-headers': ({'raw': OK + 'X: y\r\n' * 100000 + '\r\n{}'},
                     'provider_unknown'),
    'short-length': ({'raw': OK + 'Content-Length: 2\r\n\r\n{}{"id":"x"}'},
                     'provider_error'),
    'bad-chunk': ({'raw': OK + 'Transfer-Encoding: chunked\r\n\r\nzz\r\n'},
                  'provider_unknown'),
    'cut-chunk': ({'raw': OK + 'Transfer-Encoding: chunked\r\n\r\n'
                   '5\r\n{"id'}, 'provider_unknown'),
    'deep': ({'raw': whole('[' * 100000)}, 'provider_error'),
    'deep-object': ({'raw': whole('{"id":' * 50000)}, 'provider_error'),
    'nul': ({'raw': whole('{"id":"a\\u0000b"}')}, 'provider_error'),
    'bad-utf8': ({'raw': whole('{"id":"\xff\xfe"}')}, 'provider_error'),
    'surrogate': ({'raw': whole('{"id":"\\ud800"}')}, 'provider_error'),
    'no-object': ({'json': [1, 2]}, 'provider_error'),
    'scalar': ({'json': 17}, 'provider_error'),
    'id-empty': ({'json': {'id': ''}}, 'provider_error'),
    'id-null': ({'json': {'id': None}}, 'provider_error'),
    'id-list': ({'json': {'id': ['a']}}, 'provider_error'),
    'id-object': ({'json': {'id': {'a': 1}}}, 'provider_error'),
    'id-dots': ({'json': {'id': '..'}}, 'provider_error'),
    'no-content': ({'raw': 'HTTP/1.1 204 No Content\r\n'
                    'Connection: close\r\n\r\n'},
                   'provider_error'),
    'odd-success': ({'status': 206, 'json': {'id': 'x'}},
                    'provider_error'),
    'status-999': ({'status': 999, 'json': {}}, None),
    'error-object': ({'status': 400, 'json': {'error': {
        'message': {'a': 1}, 'code': ['b']}}}, 'invalid_request'),
    'error-number': ({'status': 400, 'json': {'error': {
        'message': 12, 'code': 1e300}}}, 'invalid_request'),
    'error-string': ({'status': 400, 'json': {'error': 'just text'}},
                     'invalid_request'),
    'error-utf8': ({'raw': 'HTTP/1.1 400 Bad\r\nConnection: close\r\n'
                    'Content-Length: 9\r\n\r\n'
                    '{"e":"\xff"}'}, 'invalid_request'),
    'error-own-word': ({'status': 400, 'json': {'error': {
        'message': 'x', 'code': 'internal_error'}}}, None),
    'retry-after-text': ({'status': 429, 'headers': {
        'Retry-After': 'soon'}}, 'rate_limited'),
    'retry-after-minus': ({'status': 429, 'headers': {
        'Retry-After': '-5', 'retry-after-ms': '-7'}}, 'rate_limited'),
    'retry-after-huge': ({'status': 429, 'headers': {
        'Retry-After': '9' * 30}}, 'rate_limited'),
    'retry-after-past': ({'status': 503, 'headers': {
        'Retry-After': 'Wed, 21 Oct 2015 07:28:00 GMT'}},
        'provider_unavailable'),
}

# ids that are strange, but must work

IDS = {
    'id-lines': 'a\r\nX-Injected: yes\r\n\r\nGET /evil HTTP/1.1',
    'id-query': 'a?b=c&d#e',
    'id-percent': '%2e%2e%2f%00',
    'id-quotes': '"\'<>\\{}|^`',
    'id-unicode': '\u00e4\u2603\U0001f98a',
    'id-zero': 0,
    'id-minus': -9223372036854775808,
}

# replies to a poll, followed by a good one

POLLS = {
    'status-object': {'json': {'status': {'a': 1}}},
    'status-null': {'json': {'status': None}},
    'status-number': {'json': {'status': 3}},
    'status-long': {'json': {'status': 'x' * 100000}},
    'progress-text': {'json': {'status': 'in_progress', 'progress': '50'}},
    'progress-huge': {'json': {'status': 'in_progress',
                               'progress': 1e308}},
    'progress-minus': {'json': {'status': 'in_progress', 'progress': -5}},
    'progress-float': {'json': {'status': 'in_progress',
                                'progress': 55.7}},
    'progress-list': {'json': {'status': 'in_progress', 'progress': []}},
    'progress-big': {'json': {'status': 'in_progress',
                              'progress': 9223372036854775807}},
    'poll-deep': {'raw': whole('[' * 100000)},
    'poll-204': {'raw': 'HTTP/1.1 204 No Content\r\n'
                    'Connection: close\r\n\r\n'},
    'poll-no-http': {'raw': 'garbage'},
    'poll-nul': {'raw': whole('{"status":"comp\\u0000leted"}')},
    'poll-list': {'json': []},
}

# URLs taken from a reply that must not be requested; % is our port

EVIL = ['http://10.0.0.1/x', 'http://169.254.169.254/latest/meta-data',
        'file:///etc/passwd', 'gopher://127.0.0.1:%d/_x',
        'http://user:pass@127.0.0.1:%d/evil', 'http://[::1]:%d/evil',
        'http://127.0.0.1:%d@10.0.0.1/evil',
        'http://127.0.0.1.evil.example/evil', 'http://localhost:%d/evil',
        'http:\\\\127.0.0.1:%d\\evil',
        'http://127.0.0.1:%d\r\nX: y/evil', '',
        'http://', 'http:///evil', 'http://127.0.0.1:99999/evil',
        'http://evil.example#@127.0.0.1:%d/evil', 'ftp://127.0.0.1/x']

# URLs of results: (URL, whether it may be handed out)

RESULTS = [('https://example.com/a b.png', None),
           ('https://example.com/"onload="x', None),
           ('https://example.com/\u00e4\u2603.png', None),
           ('https://example.com/\r\nX: y', None),
           ('https://example.com/' + 'x' * 8000, True),
           ('https://example.com/' + 'x' * 8200, False),
           ('data:image/png;base64,AAAA', None),
           ('javascript:alert(1)', False), ('file:///etc/passwd', False),
           ('example.com/x.png', False), ('', False)]


def video(api, script, model='sora-2', **more):
    r = api.alice.video('script:%s x' % script, model, **more)
    if r.status != 202:
        raise AssertionError(repr(r))
    return r['task_id']


def check_submits(t, api):
    p = api.provider
    tasks = {}

    for name, (step, code) in SUBMITS.items():
        p.script(name, submit=[step])
        tasks[name] = video(api, name)

    for name, value in IDS.items():
        p.script(name, submit=[{'id': value}], poll=[{}])
        tasks[name] = video(api, name)

    for name, (step, code) in SUBMITS.items():
        d = api.alice.wait(tasks[name], 20)
        t.ok(d['status'] == 'failed' and code in (None, d['error_code']),
             'submit: ' + name) or t.diag(d)
        if code and not code.startswith(('rate', 'provider_un')):
            t.eq(p.count('submit', 'script:%s x' % name), 1,
                 'submit: %s: once' % name)

    for name in IDS:
        d = api.alice.wait(tasks[name])
        t.eq(d['status'], 'completed', 'submit: ' + name) or t.diag(d)

    t.eq([r.target for r in p.select() if 'x-injected' in r.headers
          or r.path == '/evil'], [], 'no id gets out of its place')


def check_polls(t, api):
    p = api.provider
    tasks = {}

    for name, step in POLLS.items():
        p.script(name, poll=[dict(step, state='processing'), {}])
        tasks[name] = video(api, name)

    for name, task in tasks.items():
        seen = [d for _, d in api.alice.events(task)]
        t.eq(seen[-1]['status'], 'completed', 'poll: ' + name)
        progress = [d['progress'] for d in seen]
        t.ok(progress == sorted(progress) and all(
            type(v) is int and 0 <= v <= 99 for v in progress[:-1]),
            'poll: %s: progress' % name) or t.diag(progress)

    p.script('never', poll=[{'json': {'status': {}}}])
    d = api.alice.wait(video(api, 'never', timeout_seconds=1))
    t.eq(d['error_code'], 'timeout', 'poll: nothing known until the end')


def check_evil(t, api):
    """Addresses that a reply names for polls, fetches and downloads."""

    p = api.provider
    tasks = {}

    for i, url in enumerate(EVIL):
        url = url.replace('%d', str(p.port))
        p.script('get-%d' % i, submit=[{'merge': {'urls': {
            'get': url, 'cancel': url}}}])
        p.script('down-%d' % i, poll=[{'json': {
            'done': True, 'response': {'generateVideoResponse': {
                'generatedSamples': [{'video': {'uri': url}}]}}}}])
        p.script('moved-%d' % i, result=[{'status': 302, 'headers': {
            'Location': url.replace('\r\n', ' ')}}])
        tasks['poll', url] = api.alice.image(
            'script:get-%d x' % i, 'flux-schnell')['task_id']
        tasks['download', url] = video(api, 'down-%d' % i, 'veo-3')
        tasks['redirect', url] = video(api, 'moved-%d' % i, 'veo-3')

    for (what, url), task in tasks.items():
        d = api.alice.wait(task, 30)
        t.eq((d['status'], d['error_code']), ('failed', 'provider_error'),
             '%s: %r' % (what, url)) or t.diag(d)

    t.eq([r.target for r in p.select() if 'evil' in r.target
          and not r.target.startswith('/v1/videos/a%0D')], [],
         'none of them is requested')


def check_results(t, api):
    p = api.provider

    for i, (url, good) in enumerate(RESULTS):
        p.script('url-%d' % i, submit=[{'urls': [url]}])
        d = api.alice.run(api.alice.image('script:url-%d x' % i,
                                          'dall-e-3'))
        ended = d['status'] == 'completed'
        t.ok(good is None or ended == good, 'result: %r' % url[:40]) \
            or t.diag(d)
        if ended:
            t.ok(not re.search(r'[\r\n]', d['image_url'])
                 and d['image_url'].startswith(('https://example.com/',
                                                '/media/')),
                 'result: is sound')

    p.script('many', submit=[{'urls': ['https://example.com/%d' % i
                                       for i in range(2000)]}])
    d = api.alice.run(api.alice.image('script:many x', 'dall-e-3'))
    t.ok(d['status'] in FINAL, 'result: many')
    p.script('mixed', submit=[{'json': {'data': [
        None, 5, 'x', {}, {'url': 7}, {'url': None}, {'b64_json': []},
        {'url': 'https://example.com/good'}]}}])
    d = api.alice.run(api.alice.image('script:mixed x', 'dall-e-3'))
    t.ok(d['status'] in FINAL, 'result: mixed')

    text = 'a"b\\c\n<script>\t\u2028\U0001f98a\x7f'
    p.script('text', submit=[{'status': 400, 'json': {'error': {
        'message': text, 'code': 'x'}}}])
    r = api.alice.sync('script:text x', 'dall-e-3')
    t.eq((r.status, r.error()), (400, 'invalid_request'), 'a text')
    t.ok('script' in (r.error('message') or ''), 'is passed on') \
        or t.diag(r)
    r = api.alice.list(limit=100)
    t.ok(r['data'] and len(r['data']) > 10, 'the list is sound')


def edit(text):
    text = text.replace('timeout     submit=300s;',
                        'timeout     submit=3s read=3s;')
    return re.sub(r'(conduit_provider (?:videos_compat|veo|replicate) \{)',
                  r'\1 timeout submit=3s read=3s connect=1s;', text)


def test_hostile(t):
    with Api(t, workers=2, edit=edit, http=MEDIA,
             providers=['openai', 'videos', 'veo', 'replicate']) as api:
        pids = api.workers()
        check_submits(t, api)
        check_polls(t, api)
        check_evil(t, api)
        check_results(t, api)
        t.eq(api.workers(), pids, 'no worker has died')
        t.eq(os.listdir(api.path('media')),
             [name for name in os.listdir(api.path('media'))
              if name.endswith(('.mp4', '.bin'))], 'no rests of files')


run(test_hostile)
