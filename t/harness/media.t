#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# conduit_media: files of results, their names, Range, TTL and caps.

import base64
import os
import sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from conduit_api import *

SERVER = 'location /media/ { alias %%DIR%%/media/; }'


def files(api):
    """Finished files below the folder, and others."""

    found = [os.path.join(folder, name)[len(api.path('media')) + 1:]
             for folder, _, names in os.walk(api.path('media'))
             for name in names]
    return found


def test_files(t):
    with Api(t, workers=2, providers=['openai', 'videos'], server=SERVER,
             http='conduit_media %%DIR%%/media url=/media '
             'max_size=1m;') as api:
        d = api.alice.run(api.alice.image('a', n=2, size='64x64'))
        items = d['result']['data']
        t.eq([set(x) & {'url', 'b64_json'} for x in items], [{'url'}] * 2,
             'URLs instead of base64')
        for item in items:
            t.like(item['url'], r'^/media/[A-Za-z0-9_-]{20,}\.png$',
                   'an unguessable name')
            t.eq(item['mime_type'], 'image/png', 'mime_type')
        t.eq((d['image_url'], d['image_urls']),
             (items[0]['url'], [x['url'] for x in items]), 'flat URLs')

        r = api.alice.get(items[0]['url'])
        t.eq((r.status, r.body[:8]), (200, b'\x89PNG\r\n\x1a\n'), 'served')
        part = api.alice.get(items[0]['url'], {'Range': 'bytes=1-3'})
        t.eq((part.status, part.body), (206, b'PNG'), 'Range')
        again = api.alice.get(items[0]['url'],
                              {'If-None-Match': r.header('etag')})
        t.eq(again.status, 304, 'by plain nginx')

        d = api.alice.run(api.alice.video('clip'))
        t.like(d['video_url'], r'^/media/[A-Za-z0-9_-]{20,}\.\w+$',
               'a clip')
        t.eq(api.alice.get(d['video_url']).status, 200, 'served')

        r = api.alice.sync('sync')
        t.like(r['data'][0]['url'], '^/media/', 'sync: a URL')
        r = api.alice.sync('sync', response_format='b64_json')
        t.ok('b64_json' in r['data'][0], 'sync: base64 when asked for')

        before = len(files(api))
        for script, make, model in (
                ('b64-5mb', api.alice.image, 'dall-e-3'),
                ('download-big', api.alice.video, 'sora-2'),
                ('download-drip', api.alice.video, 'sora-2')):
            d = api.alice.run(make('script:%s x' % script, model), 30)
            t.eq(d['error_code'], 'result_too_large', script)
        d = api.alice.run(api.alice.image('script:b64 x', 'dall-e-3', n=3))
        t.eq(len(d['image_urls']), 3, 'results that fit')
        d = api.alice.run(api.alice.video('script:download-cut x',
                                          'sora-2'))
        t.eq(d['status'], 'completed', 'a broken download')
        wait_for(lambda: len(files(api)) <= before + 4, 5, 'no rest')
        t.eq(len(files(api)), before + 4, 'failures leave no file')

        r = api.alice.get('/media/../secret')
        t.ok(UPSTREAM_SECRET not in r.text, 'nothing else is served')


def test_ttl(t):
    with Api(t, workers=2, server=SERVER, http='''
             conduit_media %%DIR%%/media url=https://cdn.example.com/m/
                           ttl=6s;''') as api:
        api.write('media/keep.txt', 'not ours')
        rest = 'media/%s.tmp' % ('5' * 32)
        api.write(rest, 'of a killed worker')
        os.utime(api.path(rest), (0, 0))
        tasks = [api.alice.image('x %d' % i)['task_id'] for i in range(3)]
        docs = [api.alice.wait(task) for task in tasks]
        url = docs[0]['image_url']
        t.like(url, r'^https://cdn\.example\.com/m/[\w-]+\.png$',
               'an absolute prefix, one slash')
        t.ok(docs[0]['result']['data'][0]['expires_at'], 'expires_at')
        t.ok(len(files(api)) >= 4, 'files are there')
        wait_for(lambda: len(files(api)) <= 1, 10 * SLOW, 'the removal')
        t.eq(files(api), ['keep.txt'], 'old files are removed, ours only')
        d = api.alice.document(tasks[0])
        t.eq(d['status'], 'completed', 'the task stays')


def test_fetch(t):
    with Api(t, workers=2, providers=['openai'], server=SERVER, http='''
             conduit_media %%DIR%%/media url=/media fetch=on max_size=1m;
             ''', gpu=GPU.replace('lease 1s', 'lease 60s')) as api:
        p = api.provider
        d = api.alice.run(api.alice.image('copy', 'dall-e-3', n=2))
        t.ok(all(u.startswith('/media/') for u in d['image_urls']),
             'results are copied') or t.diag(d)
        t.eq(p.count('result'), 2, 'each once')
        t.ok(all(UPSTREAM_SECRET not in str(r.headers)
                 for r in p.select('result')), 'without the secret')
        r = api.alice.get(d['image_urls'][0])
        t.eq(r.body[:4], b'\x89PNG', 'and served')

        r = api.alice.sync('base', 'dall-e-3', response_format='b64_json')
        t.ok((r['data'][0].get('b64_json') or '').startswith('iVBOR'),
             'b64_json of a URL')

        p.script('big', result=[{'size': 5 << 20}])
        d = api.alice.run(api.alice.image('script:big x', 'dall-e-3'))
        t.eq(d['error_code'], 'result_too_large', 'a copy that is too big')

        p.script('far', submit=[{'urls': ['http://10.9.8.7/x.png']}])
        d = api.alice.run(api.alice.image('script:far x', 'dall-e-3'))
        t.eq((d['status'], d['image_url']),
             ('completed', 'http://10.9.8.7/x.png'),
             'a private host: the provider\'s own URL')
        t.like(api.error_log(), r'\[warn\]', 'with a warning')

        task = api.alice.image('w', 'gpu-image')['task_id']
        api.robot.worker('claim', {})
        api.robot.worker('tasks/%s/complete' % task, {
            'data': [{'url': p.url + '/files/w/0.png'}]})
        d = api.alice.document(task)
        t.eq((d['image_url'], p.count('result', 'w')),
             (p.url + '/files/w/0.png', 0), 'URLs of workers stay')


def test_formats(t):
    with Api(t, providers=['openai'], server=SERVER, http=MEDIA) as api:
        data = {'png': b'\x89PNG\r\n\x1a\n' + b'\0' * 50,
                'jpg': b'\xff\xd8\xff\xe0' + b'\0' * 50,
                'gif': b'GIF89a' + b'\0' * 50,
                'webp': b'RIFF\x20\0\0\0WEBPVP8 ' + b'\0' * 50,
                'mp4': b'\0\0\0\x18ftypmp42' + b'\0' * 50,
                'webm': b'\x1a\x45\xdf\xa3' + b'\0' * 50,
                'bin': b'<html>' + b'x' * 50}

        for name, content in data.items():
            text = base64.b64encode(content).decode()
            api.provider.script('as-' + name, submit=[{'b64': text}])
            d = api.alice.run(api.alice.image('script:as-%s x' % name,
                                              'dall-e-3'))
            if not t.eq(d['status'], 'completed', 'a result as ' + name):
                continue
            t.like(d['image_url'], r'\.%s$' % name, 'extension ' + name)
            t.eq(api.alice.get(d['image_url']).body, content,
                 'bytes of ' + name)


run(test_files, test_ttl, test_fetch, test_formats)
