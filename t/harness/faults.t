#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# Every fault of a provider: what the client is told, and how often the
# provider was asked to generate (each submit may be billed).

import os
import sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from conduit_api import *

# script: (status, error_code, submits)

GOOD = ('completed', None, 1)

VIDEOS = {
    'ok': GOOD,
    'slow-submit': GOOD,
    'hang-submit': ('failed', 'provider_unknown', 1),
    'lost': ('failed', 'provider_unknown', 1),
    'reset': ('failed', 'provider_unknown', 1),
    'cut-head': ('failed', 'provider_unknown', 1),
    'cut-body': ('failed', 'provider_unknown', 1),
    '429-seconds': ('completed', None, 2),
    '429-ms': ('completed', None, 2),
    '429-long': ('failed', 'rate_limited', 1),
    '429-always': ('failed', 'rate_limited', 3),
    '503-once': ('completed', None, 2),
    '503-always': ('failed', 'provider_unavailable', 3),
    '500-once': ('failed', 'provider_unavailable', 1),
    'submit-502': ('failed', 'provider_unavailable', 1),
    'submit-504': ('failed', 'provider_unavailable', 1),
    'submit-400': ('failed', 'invalid_request', 1),
    'submit-401': ('failed', 'provider_auth', 1),
    'submit-402': ('failed', 'provider_quota', 1),
    'submit-403': ('failed', 'provider_auth', 1),
    'submit-404': ('failed', 'unsupported_model', 1),
    'submit-409': ('failed', 'invalid_request', 1),
    'submit-413': ('failed', 'invalid_request', 1),
    'submit-422': ('failed', 'invalid_request', 1),
    'submit-garbage': ('failed', 'provider_error', 1),
    'submit-empty': ('failed', 'provider_error', 1),
    'submit-truncated': ('failed', 'provider_error', 1),
    'submit-redirect': ('failed', 'provider_error', 1),
    'submit-huge': ('failed', 'result_too_large', 1),
    'submit-own-code': ('failed', 'content_policy_violation', 1),
    'secret-echo': ('failed', 'provider_auth', 1),
    'long-error': ('failed', 'invalid_request', 1),

    'unknown-status': GOOD,
    'flap': GOOD,
    'regress': GOOD,
    '202-404-200': GOOD,
    'poll-400': ('failed', 'invalid_request', 1),
    'poll-500': GOOD,
    'poll-429': GOOD,
    'poll-lost': GOOD,
    'poll-empty': GOOD,
    'poll-truncated': GOOD,
    'poll-garbage': ('failed', 'provider_error', 1),
    'poll-huge': ('failed', 'result_too_large', 1),
    'poll-hang-once': GOOD,
    'poll-redirect': ('failed', 'provider_error', 1),
    'case': GOOD,
    'big-id': GOOD,
    'slash-id': GOOD,
    'failed': ('failed', 'provider_error', 1),
    'policy': ('failed', 'content_policy_violation', 1),
    'upstream-cancelled': ('cancelled', 'cancelled', 1),

    'download-1mb': GOOD,
    'download-empty': ('failed', 'provider_error', 1),
    'download-cut': GOOD,
    'download-500': GOOD,
    'download-big': ('failed', 'result_too_large', 1),
    'download-drip': ('failed', 'result_too_large', 1),
    'download-private': ('failed', 'provider_error', 1),
    'download-metadata': ('failed', 'provider_error', 1),
    'download-redirect': ('failed', 'provider_error', 1),
}

IMAGES = {
    'filtered': GOOD,
    'b64': GOOD,
    'b64-5mb': GOOD,
    'b64-bad': ('failed', 'provider_error', 1),
    'b64-empty': ('failed', 'provider_error', 1),
    'b64-20mb': ('failed', 'result_too_large', 1),
    'empty-result': ('failed', 'provider_error', 1),
    'bad-url': ('failed', 'provider_error', 1),
    'long-url': ('failed', 'provider_error', 1),
    'drip-submit': GOOD,
    'lost': ('failed', 'provider_unknown', 1),
    '503-once': ('completed', None, 2),
    'submit-garbage': ('failed', 'provider_error', 1),
    'moderated': ('failed', 'content_policy_violation', 1),
    'limit-code': ('completed', None, 2),
    'quota-code': ('failed', 'provider_quota', 1),
}

MINIMAX = {
    'error-200': ('failed', 'content_policy_violation', 1),
    'error-200-retry': ('completed', None, 2),
    'error-1004': ('failed', 'provider_auth', 1),
    'error-1008': ('failed', 'provider_quota', 1),
    'error-2013': ('failed', 'invalid_request', 1),
    'error-9999': ('failed', 'provider_error', 1),
    'poll-1027': ('failed', 'content_policy_violation', 1),
    'poll-1002': GOOD,
    'poll-404': ('failed', 'provider_error', 1),
    'fetch-500': GOOD,
    'fetch-lost': GOOD,
    'file-number': GOOD,
    'empty-result': ('failed', 'provider_error', 1),
}

IDEMPOTENT = {
    'lost-once': ('completed', None, 2),
    '500-once': ('completed', None, 2),
    '503-once': ('completed', None, 2),
    'lost': ('failed', 'provider_unknown', 3),
    'submit-400': ('failed', 'invalid_request', 1),
}

VEO = {
    'ok': GOOD,
    'result-redirect': GOOD,
    'result-private': ('failed', 'provider_error', 1),
    'result-metadata': ('failed', 'provider_error', 1),
    'result-loop': ('failed', 'provider_error', 1),
    'result-big': ('failed', 'result_too_large', 1),
}

HOSTS = {
    'steal-poll': ('failed', 'provider_error', 1),
}


def add_scripts(p):
    for status in (400, 401, 402, 403, 404, 409, 413, 422, 502, 504):
        p.script('submit-%d' % status, submit=[{'status': status}])

    for code in (1004, 1008, 2013, 9999):
        p.script('error-%d' % code, submit=[
            {'error': {'code': code, 'message': 'no'}}])

    def error(status, code):
        return {'status': status, 'error': {'code': code, 'message': 'no'}}

    p.script('submit-own-code', submit=[error(
        400, 'content_policy_violation')])
    p.script('moderated', submit=[error(400, 'Moderation_Blocked')])
    p.script('limit-code', submit=[error(400, 'rate_limit_exceeded'), {}])
    p.script('quota-code', submit=[error(429, 'insufficient_quota')])
    p.script('long-error', submit=[{'status': 400, 'error': {
        'code': 'x', 'message': '\u00e4' * 2000}}])
    p.script('poll-1027', poll=[{'state': 'processing', 'error': {
        'code': 1027, 'message': 'output sensitive'}}])
    p.script('poll-1002', poll=[{'state': 'processing', 'error': {
        'code': 1002, 'message': 'rate limit'}}, {}])
    p.script('file-number', poll=[{'file_id': 9007199254740993}])
    p.script('b64-20mb', submit=[{'size': 20 << 20}])
    p.script('steal-poll', submit=[{'merge': {
        'urls': {'get': 'http://10.1.2.3/x', 'cancel': 'http://10.1.2.3/y'}
    }}])

    def location(url):
        return {'status': 302, 'headers': {'Location': url}}

    p.script('result-redirect', result=[
        location('${origin}/files/moved/0.mp4')])
    p.script('result-loop', result=[location('${origin}${target}')])
    p.script('result-private', result=[location('http://10.0.0.1/x')])
    p.script('result-metadata', result=[
        location('http://169.254.169.254/latest')])


# quick time-outs, and a provider that knows idempotency keys

IDEM = '''
conduit_provider idem {
    kind     video;
    base     %%PROVIDER%%;
    auth     none;
    timeout  submit=4s read=2s;

    submit POST /v1/videos json {
        field        /prompt $prompt required;
        take         id /id;
        idempotency  header X-Idem;
    }

    poll GET /v1/videos/${id} {
        every  100ms max=200ms;
    }

    status /status {
        queued       queued;
        in_progress  processing;
        completed    completed;
        failed       failed;
    }

    result  download GET /v1/videos/${id}/content;
    error   code /error/code;
}

conduit_model idem provider=idem kind=video;
'''


def edit(text):
    text = text.replace('timeout     submit=300s;',
                        'timeout     submit=4s read=2s;')
    return re.sub(r'(conduit_provider (?:videos_compat|minimax_v1|veo) \{)',
                  r'\1 timeout submit=4s read=2s;', text)


def start(api, model, script):
    prompt = 'script:%s of %s' % (script, model)
    video = model in ('sora-2', 'minimax-video', 'idem', 'veo-3')
    more = {'n': 4} if script == 'filtered' else {}
    make = api.alice.video if video else api.alice.image
    return make(prompt, model, **more)['task_id']


def test_faults(t):
    with Api(t, workers=2, edit=edit, http=IDEM + MEDIA,
             providers=['openai', 'videos', 'minimax', 'replicate', 'veo'],
            start=False) as api:
        p = api.provider
        api.setup(http=api.values['http'].replace('%%PROVIDER%%', p.url))
        api.start()
        add_scripts(p)

        tables = (('sora-2', VIDEOS), ('dall-e-3', IMAGES),
                  ('minimax-video', MINIMAX), ('idem', IDEMPOTENT),
                  ('veo-3', VEO), ('flux-schnell', HOSTS))
        tasks = {(model, script): start(api, model, script)
                 for model, table in tables for script in table}

        ends = {}
        for model, table in tables:
            for script, expected in table.items():
                d = api.alice.wait(tasks[model, script], 25)
                ends[model, script] = d
                name = 'script:%s of %s' % (script, model)
                t.eq((d['status'], d['error_code'],
                      p.count('submit', name)), expected,
                     '%s: %s' % (model, script))

        check_details(t, api, ends)
        t.eq([r.path for r in p.select('unknown')], [],
             'no request that the provider does not know')
        t.ok(p.connections < p.count() * 0.7,
             'connections are used again') or t.diag(p.connections)
        check_refused(t, api)
        check_dead_connection(t, api)


def check_details(t, api, ends):
    p = api.provider
    d = ends['dall-e-3', 'filtered']
    t.eq(len(d['result']['data']), 3, 'one of four is filtered')

    d = ends['sora-2', 'failed']
    t.eq(d['error'], 'It broke', 'the provider\'s text')
    d = ends['sora-2', 'policy']
    t.eq(d['error'], 'Your request was rejected', 'its text of a refusal')
    d = ends['sora-2', 'long-error']
    t.eq(d['error'], '\u00e4' * 500, 'a long text is cut')
    d = ends['sora-2', 'secret-echo']
    t.ok(d['error'] and UPSTREAM_SECRET not in json.dumps(d),
         'an echoed secret is not passed on')

    sent = {r.headers.get('x-idem') for r in
            p.select('submit', 'script:lost-once of idem')}
    t.ok(len(sent) == 1 and None not in sent, 'one idempotency key per task')

    d = ends['idem', 'submit-400']
    t.eq(api.alice.retry(d['task_id']).status, 202, 'retry')
    api.alice.wait(d['task_id'])
    sent = [r.headers.get('x-idem') for r in
            p.select('submit', 'script:submit-400 of idem')]
    t.ok(len(sent) == 2 and sent[0] != sent[1],
         'a retry by the user has a key of its own') or t.diag(sent)

    t.eq(p.count('download', 'script:download-cut'), 2,
         'a broken download is repeated')

    targets = [r.target for r in p.select('poll', 'script:slash-id')]
    t.ok(targets and all('models%2Fveo%2Foperations%2Fa%20b%3Fc' in x
                         for x in targets), 'ids are escaped in URLs')
    targets = [r.target for r in p.select('poll', 'script:big-id')]
    t.ok(targets and all(x.endswith('/9007199254740993') for x in targets),
         'big numbers as ids are exact')


def check_refused(t, api):
    p = api.provider
    task = start(api, 'sora-2', 'quick')
    api.alice.wait(task)
    def requests():
        return api.metric('conduit_provider_requests_total',
                          provider='videos_compat')

    p.refuse()
    before = requests()
    task = api.alice.video('script:quick refused', 'sora-2')['task_id']
    other = api.alice.video('script:quick refused, too',
                            'sora-2')['task_id']
    wait_for(lambda: requests() >= before + 2, what='two refusals')
    p.accept()
    t.eq([api.alice.wait(x)['status'] for x in (task, other)],
         ['completed'] * 2, 'refused connections are tried again')
    t.eq(p.count('submit', 'quick refused'), 2, 'and each task comes once')

    p.refuse()
    task = api.alice.video('script:quick away', 'sora-2')['task_id']
    d = api.alice.wait(task, 20)
    p.accept()
    t.eq((d['status'], d['error_code'], p.count('submit', 'away')),
         ('failed', 'provider_unavailable', 0),
         'a provider that is down')


def check_dead_connection(t, api):
    """A kept connection that dies with a submit on it: curl would send
    the submit a second time by itself."""

    p = api.provider

    for i in range(5):
        api.alice.wait(start(api, 'sora-2', 'quick'))
        name = 'script:lost dead %d' % i
        d = api.alice.run(api.alice.video(name, 'sora-2'))
        t.eq((d['error_code'], p.count('submit', name)),
             ('provider_unknown', 1), 'no hidden second submit')

    for i in range(5):
        api.alice.wait(start(api, 'sora-2', 'quick'))
        p.drop_idle()
        name = 'script:quick dropped %d' % i
        d = api.alice.run(api.alice.video(name, 'sora-2'))
        t.eq((d['status'], p.count('submit', name)), ('completed', 1),
             'a closed connection is not used')


run(test_faults)
