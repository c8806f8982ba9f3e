#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# Attempts, back-off, Retry-After, deadlines, and fallbacks.

import os
import sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from conduit_api import *

MODELS = '''
    conduit_model plan-b provider=openai_images model=b kind=image;
    conduit_model plan-a provider=openai_images model=a kind=image
                  fallback=plan-b;
    conduit_model clip-a provider=videos_compat model=a kind=video
                  fallback=sandbox-video;
'''


def gaps(p, name):
    times = [r.time for r in p.select('submit', name)]
    return [b - a for a, b in zip(times, times[1:])]


def check_backoff(t, api):
    p = api.provider
    p.script('429-3s', submit=[{'status': 429,
                                'headers': {'Retry-After': '3'}}, {}])
    p.script('503-2500ms', submit=[{'status': 503, 'headers': {
        'retry-after-ms': '2500'}}, {}])
    tasks = [api.alice.video('script:%s backoff' % s, 'sora-2')['task_id']
             for s in ('503-always', '429-3s', '503-2500ms', '429-ms')]
    seen = [d for _, d in api.alice.events(tasks[0])]
    t.eq(set(d['status'] for d in seen[:-1]) - {'pending', 'processing'},
         set(), 'no other status while it is tried again')
    words = [d['status'] for d in seen]
    t.ok(words == sorted(words, key=['pending', 'processing',
                                     'failed'].index),
         'and no step back') or t.diag(words)

    for task in tasks:
        api.alice.wait(task)

    first, second = gaps(p, '503-always')
    t.between(first, 0.75, 1.7 * BUSY, 'first pause is 1 s')
    t.between(second, 1.55, 2.9 * BUSY, 'second pause is 2 s')
    t.between(gaps(p, '429-3s')[0], 2.9, 4.5 * BUSY,
              'Retry-After lengthens')
    t.between(gaps(p, '503-2500ms')[0], 2.4, 4 * BUSY,
              'retry-after-ms lengthens')
    t.between(gaps(p, '429-ms')[0], 0.75, 1.7 * BUSY,
              'but does not shorten')


def check_deadlines(t, api):
    p = api.provider
    p.script('deaf', submit=[{'hold': 'never'}])
    began = time.monotonic()
    jobs = {name: make('script:%s deadline' % name, model,
                       timeout_seconds=1)['task_id']
            for name, make, model in (
                ('forever', api.alice.video, 'sora-2'),
                ('deaf', api.alice.image, 'dall-e-3'),
                ('503-always', api.alice.video, 'sora-2'))}
    jobs['queued'] = api.alice.image('nobody claims', 'gpu-image',
                                     timeout_seconds=1)['task_id']
    jobs['sandbox'] = api.alice.image('sandbox:duration=9s',
                                      timeout_seconds=1)['task_id']

    for name, task in jobs.items():
        d = api.alice.wait(task)
        t.eq((d['status'], d['error_code']), ('failed', 'timeout'),
             'timeout_seconds: ' + name)

    t.between(time.monotonic() - began, 0.9, 3.5 * BUSY,
              'they end in time')
    t.ok(p.wait(lambda p: p.count('cancel', 'script:forever') == 1),
         'the provider\'s cancel is called')

    r = api.alice.sync('script:deaf sync', 'dall-e-3', timeout_seconds=1)
    t.eq((r.status, r.error()), (504, 'timeout'), '504 when it is awaited')

    d = api.alice.run(api.alice.video('script:forever short', 'short'))
    t.eq((d['status'], d['error_code']), ('failed', 'timeout'),
         'the deadline of the poll')


def check_fallback(t, api):
    p = api.provider
    p.script('a-down', submit=[{'status': 503, 'times': 3}, {}])
    p.script('a-auth', submit=[{'status': 401}, {}])
    p.script('a-policy', submit=[{'status': 400, 'error': {
        'code': 'content_policy_violation', 'message': 'no'}}, {}])
    p.script('a-lost', submit=[{'cut': 'now'}, {}])

    def run(script):
        name = 'script:%s fallback' % script
        d = api.alice.run(api.alice.image(name, 'plan-a'))
        models = [json.loads(r.body)['model']
                  for r in p.select('submit', name)]
        return d['status'], d['error_code'], d['model'], models

    expected = {
        'a-down': ('completed', None, 'plan-a', ['a', 'a', 'a', 'b']),
        'a-auth': ('completed', None, 'plan-a', ['a', 'b']),
        'a-policy': ('failed', 'content_policy_violation', 'plan-a', ['a']),
        'a-lost': ('failed', 'provider_unknown', 'plan-a', ['a']),
    }

    for script, result in zip(expected, parallel(run, expected)):
        t.eq(result, expected[script], 'fallback: ' + script)

    p.script('v-auth', submit=[{'status': 403}])
    d = api.alice.run(api.alice.video('script:v-auth x', 'clip-a'))
    t.eq((d['status'], d['model'], d['result']['model']),
         ('completed', 'clip-a', 'clip-a'), 'fallback to another provider')


def edit(text):
    short = re.search(r'conduit_provider videos_compat \{.*?\n\}', text,
                      re.S).group(0)
    short = short.replace('videos_compat', 'short_videos')
    short = short.replace('deadline  60m', 'deadline  1s')
    return text + short + '''
    conduit_model short provider=short_videos kind=video;'''


def test_retries(t):
    with Api(t, workers=2, providers=['openai', 'videos'], gpu=GPU,
             edit=edit, http=MODELS + MEDIA) as api:
        check_backoff(t, api)
        check_deadlines(t, api)
        check_fallback(t, api)


def test_attempts(t):
    with Api(t, providers=['videos'], http=MEDIA + '''
             conduit_task_attempts 1;
             conduit_task_timeout 1s;''') as api:
        d = api.alice.run(api.alice.video('script:503-always', 'sora-2'))
        t.eq((d['error_code'], api.provider.count('submit')),
             ('provider_unavailable', 1), 'conduit_task_attempts')
        d = api.alice.run(api.alice.video('script:forever', 'sora-2',
                                          timeout_seconds=3600))
        t.eq(d['error_code'], 'timeout', 'conduit_task_timeout')


run(test_retries, test_attempts)
