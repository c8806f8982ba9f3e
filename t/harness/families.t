#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# Every ready provider block against the replies of its documentation.

import os
import sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from conduit_api import *

ALL = ['openai', 'videos', 'minimax', 'replicate', 'fal', 'bfl', 'runway',
       'luma', 'veo', 'a1111', 'localai']

BEARER = ('authorization', 'Bearer ' + UPSTREAM_SECRET)

# model: (family, kind, header, script of a failure, its error code,
#         script of a long task or None, how often its cancel is called)

MODELS = {
    'dall-e-3': ('openai', 'image', BEARER, 'policy',
                 'content_policy_violation', None, 0),
    'sora-2': ('videos', 'video', BEARER, 'policy',
               'content_policy_violation', 'forever', 1),
    'minimax-video': ('minimax', 'video', BEARER, 'error-200',
                      'content_policy_violation', 'forever', 0),
    'flux-schnell': ('replicate', 'image', BEARER, 'failed',
                     'provider_error', 'forever', 1),
    'fal-flux': ('fal', 'image', ('authorization',
                                  'Key ' + UPSTREAM_SECRET), 'policy',
                 'content_policy_violation', 'forever', 1),
    'flux-pro': ('bfl', 'image', ('x-key', UPSTREAM_SECRET), 'moderated',
                 'content_policy_violation', 'forever', 0),
    'gen4': ('runway', 'video', BEARER, 'failed', 'provider_error',
             'forever', 1),
    'ray-2': ('luma', 'video', BEARER, 'failed', 'provider_error',
              'forever', 1),
    'veo-3': ('veo', 'video', ('x-goog-api-key', UPSTREAM_SECRET),
              'blocked', 'content_policy_violation', 'forever', 0),
    'sd-webui': ('a1111', 'image', None, 'submit-500',
                 'provider_unavailable', None, 0),
    'local-sd': ('localai', 'image', None, 'submit-500',
                 'provider_unavailable', None, 0),
}


def create(client, model, prompt, **more):
    kind = MODELS[model][1]
    make = client.image if kind == 'image' else client.video
    return make(prompt, model, **more)


def check_body(t, p, model, submit):
    """What the block builds, and nothing of ours in it."""

    family = MODELS[model][0]
    body = json.loads(submit.body)
    text = submit.body.decode()
    t.ok(all(word not in text for word in (
        'webhook', 'timeout_seconds', 'metadata')),
        model + ': nothing of ours is passed on')
    t.like(submit.headers.get('content-type'), '^application/json',
           model + ': JSON is sent')

    if family == 'minimax':
        t.eq((body['model'], body['duration'], body['resolution']),
             ('MiniMax-Hailuo-02', 6, '1080P'), 'minimax: typed fields')
        t.eq(body['first_frame_image'], 'https://example.com/f.png',
             'minimax: a picture')

    if family == 'replicate':
        t.eq(body['input'].get('go_fast'), True, 'replicate: extra members')
        t.eq(submit.headers.get('prefer'), 'respond-async',
             'replicate: a constant header')

    if family == 'openai':
        t.eq((body['n'], body.get('go_fast'), body.get('response_format')),
             (1, True, None), 'openai: extra members, denied ones')

    if family == 'runway':
        t.eq(submit.headers.get('x-runway-version'), '2024-11-06',
             'runway: a constant header')

    if family == 'a1111':
        t.ok(UUID.match(body['force_task_id']), 'a1111: our task id')


def check_good(t, api, model):
    family, kind, header = MODELS[model][:3]
    p = api.provider
    more = {'size': '1920x1080', 'image': 'https://example.com/f.png'}
    d = api.alice.run(create(
        api.alice, model, 'script:ok good ' + model, go_fast=True,
        webhook_metadata={'a': 1}, timeout_seconds=600,
        **(more if family == 'minimax' else {})))
    t.eq((d['status'], d['error'], d['model']), ('completed', None, model),
         model + ': completed')
    t.ok(d['result'] and len(d['result']['data']) == 1,
         model + ': one result') or t.diag(d)

    submits = p.select('submit', 'good ' + model)
    t.eq(len(submits), 1, model + ': one submit')
    check_body(t, p, model, submits[0])

    if header:
        sent = [r.headers.get(header[0]) for r in
                p.select(None, 'good ' + model, family)
                if r.operation in ('submit', 'poll', 'fetch', 'download')]
        t.eq(set(sent), {header[1]}, model + ': the secret is sent')
        t.ok(all(UPSTREAM_SECRET not in r.target for r in p.select()),
             model + ': and in no URL')

    if not d['result']:
        return

    item = d['result']['data'][0]

    if family in ('videos', 'veo'):
        t.like(item['url'], r'^/media/[^/]+\.mp4$', model + ': a media URL')
        t.eq((d['video_url'], item['mime_type']),
             (item['url'], 'video/mp4'), model + ': a clip')
        r = api.alice.get(item['url'])
        t.eq((r.status, r.body[4:8]), (200, b'ftyp'), model + ': served')

    elif family == 'a1111':
        t.like(item['url'], r'^/media/[^/]+\.png$', model + ': a media URL')

    else:
        t.like(item['url'], r'^http://127.0.0.1:\d+/files/',
               model + ': the provider\'s URL')
        flat = d['video_url'] if kind == 'video' else d['image_url']
        t.eq(flat, item['url'], model + ': flat URL')

    if family in ('openai', 'minimax', 'replicate', 'bfl', 'runway'):
        t.ok(TIME.match(item['expires_at'] or ''), model + ': expires_at')

    if family == 'minimax':
        t.eq(p.count('fetch', 'good ' + model), 1, 'minimax: one fetch')


def check_failure(t, api, model):
    script, code = MODELS[model][3:5]
    prompt = 'script:%s bad %s' % (script, model)
    d = api.alice.run(create(api.alice, model, prompt))
    t.eq((d['status'], d['error_code']), ('failed', code),
         model + ': a failure')
    t.ok(d['error'], model + ': has a text')
    t.eq(api.provider.count('submit', 'bad ' + model), 1,
         model + ': and one submit')


def check_cancel(t, api, model):
    script, cancels = MODELS[model][5:]

    if script is None:
        return

    p = api.provider
    name = 'stop ' + model
    r = create(api.alice, model, 'script:%s %s' % (script, name))
    p.wait(lambda p: p.count('poll', name))
    t.eq(api.alice.cancel(r['task_id']).status, 200, model + ': cancelled')

    if cancels:
        t.ok(p.wait(lambda p: p.count('cancel', name)),
             model + ': the provider\'s cancel is called')

    polls = p.count('poll', name)
    api.alice.run(create(api.alice, model, 'script:steps after ' + model))
    t.ok(p.count('poll', name) <= polls + 1, model + ': polls have ended')
    t.eq(p.count('cancel', name), cancels, model + ': number of cancels')


def test_families(t):
    with Api(t, workers=2, providers=ALL, http=MEDIA, server='''
             location /media/ { alias %%DIR%%/media/; }''') as api:
        p = api.provider
        p.script('moderated', poll=[{'word': 'Content Moderated',
                                     'state': 'failed'}])
        p.script('blocked', poll=[{'state': 'blocked', 'blocked': 1}])
        p.script('submit-500', submit=[{'status': 500}])

        for model in MODELS:
            check_good(t, api, model)

        for model in MODELS:
            check_failure(t, api, model)

        for model in MODELS:
            check_cancel(t, api, model)

        check_progress(t, api)
        check_side(t, api)
        check_again(t, api)
        check_inline(t, api)


def check_progress(t, api):
    for model in ('sora-2', 'flux-schnell', 'flux-pro', 'gen4'):
        r = create(api.alice, model, 'script:steps progress ' + model)
        seen = [d['progress'] for _, d in api.alice.events(r['task_id'])]
        t.ok(seen == sorted(seen) and seen[-1] == 100
             and len({10, 30, 60, 90} & set(seen)) >= 2,
             model + ': progress') or t.diag(seen)

    r = create(api.alice, 'minimax-video', 'script:steps progress estimate')
    seen = [d['progress'] for _, d in api.alice.events(r['task_id'])]
    t.ok(seen == sorted(seen) and all(0 <= v <= 99 for v in seen[:-1]),
         'an estimate stays below 100')


def check_side(t, api):
    """Progress that is asked for beside a submit that lasts."""

    p = api.provider
    p.script('side', submit=[{'hold': 'side'}],
             side=[{'progress': 30}, {'progress': 60}])
    task = create(api.alice, 'sd-webui', 'script:side good')['task_id']
    d = api.alice.until(task, lambda d: d['progress'] == 60)
    t.eq((d['status'], d['progress']), ('processing', 60),
         'a1111: progress')
    second = create(api.alice, 'sd-webui', 'script:side bad')['task_id']
    p.release('side')
    t.eq(api.alice.wait(task)['status'], 'completed', 'a1111: its end')
    t.eq(api.alice.wait(second)['status'], 'completed', 'a1111: the next')

    p.script('stuck', submit=[{'hold': 'never'}])
    task = create(api.alice, 'sd-webui', 'script:stuck x')['task_id']
    p.wait(lambda p: p.count('side', 'script:stuck'))
    api.alice.cancel(task)
    t.ok(p.wait(lambda p: p.count('cancel', family='a1111')),
         'a1111: is interrupted')
    t.ok(p.wait(lambda p: any(r.aborted for r in
                              p.select('submit', 'script:stuck'))),
         'a1111: and not waited for')


def check_again(t, api):
    """A retry of a failed task is a new run at the provider."""

    p = api.provider
    p.script('second', submit=[{'status': 400}, {'status': 503}, {}],
             poll=[{'state': 'processing', 'progress': 70}, {}])
    task = create(api.alice, 'sora-2', 'script:second x')['task_id']
    first = api.alice.wait(task)
    t.eq((first['status'], first['error_code']),
         ('failed', 'invalid_request'), 'retry: a failure')
    r = api.alice.retry(task)
    t.eq((r.status, r['status'], r['progress']), (202, 'pending', 0),
         'retry: accepted')
    d = api.alice.wait(task)
    t.eq((d['status'], d['error'], d['error_code'],
          p.count('submit', 'script:second')),
         ('completed', None, None, 3), 'retry: with attempts of its own')
    t.ok(d['sequence'] > first['sequence']
         and d['created_at'] == first['created_at'],
         'retry: the same task')


def check_inline(t, api):
    d = api.alice.run(api.alice.image('inline', 'gpt-image-2', n=2))
    t.eq([item['mime_type'] for item in d['result']['data']],
         ['image/png'] * 2, 'base64 results become media')
    r = api.alice.get(d['image_urls'][1])
    t.eq((r.status, r.body[:4]), (200, b'\x89PNG'), 'which are served')

    d = api.alice.run(api.alice.image('inline', 'gpt-image-2',
                                      response_format='b64_json'))
    t.ok((d['result']['data'][0].get('b64_json') or '')
         .startswith('iVBOR'), 'or stay base64 when asked for')


def test_without_media(t):
    with Api(t, providers=['openai', 'a1111']) as api:
        for model in ('gpt-image-2', 'sd-webui'):
            r = api.alice.sync('inline', model, n=2)
            t.eq(r.status, 200, model + ': without media')
            t.ok(all(item['b64_json'].startswith('iVBOR')
                     for item in r['data']), model + ': base64 stays')
        d = api.alice.run(api.alice.image('inline', 'gpt-image-2'))
        t.eq((d['status'], d['image_url']), ('completed', None),
             'the document without media')


run(test_families, test_without_media)
