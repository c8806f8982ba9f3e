#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# What is logged, and what must not be.

import os
import sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from conduit_api import *

FORMAT = '''
    log_format tasks '$request_method $uri|$conduit_key|$conduit_task_id|'
        '$conduit_task_status|$conduit_model|$conduit_provider|'
        '$conduit_error_code|$conduit_transport|$conduit_uri';
    access_log logs/tasks.log tasks;
'''


def test_variables(t):
    with Api(t, workers=2, providers=['videos'],
             http=FORMAT + MEDIA) as api:
        r = api.alice.image('x')
        task = r['task_id']
        api.alice.wait(task)
        api.alice.status(task)
        failed = api.alice.sync('sandbox:error=timeout').header(
            'x-conduit-task-id')
        api.alice.video('script:quick', 'sora-2')
        api.get(TASKS)
        api.get(TASKS + '?access_token=verysecret&x=1')

        def lines():
            return [line.split('|') for line in
                    api.read('logs/tasks.log').splitlines()]

        # a line is written when its request is over

        wait_for(lambda: any(x[-1].endswith('?x=1') for x in lines())
                 and any(VIDEOS in x[0] for x in lines())
                 and any(x[0] == 'POST ' + IMAGES for x in lines())
                 and any(x[0] == 'POST %s/async' % IMAGES for x in lines())
                 and any(x[0] == 'GET ' + TASKS for x in lines())
                 and [x[3] for x in lines() if x[0] == 'GET %s/%s'
                      % (TASKS, task)][-1:] == ['completed'],
                 what='the log')
        create = [x for x in lines() if x[0] == 'POST %s/async' % IMAGES]
        t.eq(create[0][1:6], ['alice', task, 'pending', 'sandbox-image',
                              'sandbox'], 'variables of a create')
        polls = [x for x in lines() if x[0] == 'GET %s/%s' % (TASKS, task)]
        t.eq(polls[-1][1:4], ['alice', task, 'completed'],
             'variables of a poll')
        sync = [x for x in lines() if x[0] == 'POST ' + IMAGES]
        t.eq((sync[0][1:4], sync[0][6]),
             (['alice', failed, 'failed'], 'timeout'),
             'variables of a failure')
        video = [x for x in lines() if x[0].startswith('POST ' + VIDEOS)]
        t.eq(video[0][4:6], ['sora-2', 'videos_compat'], 'a provider')
        anonymous = [x for x in lines() if x[0] == 'GET ' + TASKS]
        t.ok(all(x[1] in ('', '-') for x in anonymous), 'no key')
        text = api.read('logs/tasks.log')
        t.ok('verysecret' not in text and '%s?x=1' % TASKS in text,
             '$conduit_uri is without access_token')
        t.ok(not any(s in text for s in api.secrets.values()),
             'no secret in the access log')


def test_store_off(t):
    with Api(t, http='conduit_store off;') as api:
        t.eq(api.alice.image('x').status, 202, 'without a store')
        warnings = [line for line in api.error_log().splitlines()
                    if '[warn]' in line and 'conduit_store' in line]
        t.eq(len(warnings), 1, 'a warning at start, once')
        ok, out = api.check()
        t.ok(ok, 'nginx -t is content')


def test_secrets(t):
    """Failures of all sorts, then the log is searched by the harness."""

    with Api(t, workers=2, providers=['videos', 'openai', 'minimax'],
             http=MEDIA, level='info') as api:
        private = 'a purple secret prompt'
        api.private += [private, 'hook.example.com/private', 'whsec_',
                        'X-Very-Private']
        for script in ('lost', 'reset', 'submit-garbage', 'poll-garbage',
                       'secret-echo', 'download-private', 'policy',
                       '429-long', 'poll-huge'):
            api.alice.video('script:%s %s' % (script, private), 'sora-2')
        for script in ('b64-bad', 'bad-url', 'secret-echo'):
            api.alice.image('script:%s %s' % (script, private), 'dall-e-3')
        last = api.alice.video('script:error-200 ' + private,
                               'minimax-video')
        api.alice.image(private, webhook_url='https://hook.example.com/'
                        'private', webhook_headers={'X-Very-Private': 'x'})
        api.alice.image(private, n=99)
        api.alice.image(private, 'no-such-model')
        api.post(IMAGES + '/async', {'prompt': private},
                 headers={'Authorization': 'Bearer condt_wrong'})
        api.private.append('condt_wrong')
        api.post(IMAGES + '/async', '{"prompt": "%s' % private,
                 key=api.secrets['alice'])
        for d in api.alice.list(limit=50)['data']:
            api.alice.wait(d['task_id'])
        t.eq(api.alice.document(last['task_id'])['error_code'],
             'content_policy_violation', 'failures were made')
        texts = [d.get('error') or '' for d in
                 api.alice.list(limit=50)['data']]
        t.ok(not any(UPSTREAM_SECRET in x for x in texts),
             'no secret in an error text')


run(test_variables, test_store_off, test_secrets)
