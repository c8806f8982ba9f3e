#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# Clients as they are: the npm package of OpenAI, the guide's samples.

import os
import sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from conduit_api import *
from conduit_clients import *

MODULES = npm()


def test_openai(t):
    with Api(t, workers=2) as api:
        done = subprocess.run(
            ['node', os.path.join(CLIENTS, 'images.mjs'), json.dumps([
                'a cat', 'sandbox:error=content_policy_violation',
                'sandbox:error=provider_unavailable',
                'sandbox:error=rate_limited', 'sandbox:error=timeout'])],
            env=dict(os.environ, CONDUIT_CLIENTS=MODULES,
                     CONDUIT_KEY=api.secrets['alice'],
                     CONDUIT_URL='http://127.0.0.1:%d' % api.port()),
            stdout=subprocess.PIPE, timeout=120)
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        t.eq(len(lines), 5, 'every call returns')
        t.eq(lines[0].get('data'), ['iVBORw0KGgo'] * 2, 'two pictures')
        t.eq([(x['name'], x['status'], x['code']) for x in lines[1:]],
             [('BadRequestError', 400, 'content_policy_violation'),
              ('InternalServerError', 502, 'provider_unavailable'),
              ('RateLimitError', 429, 'rate_limited'),
              ('InternalServerError', 504, 'timeout')],
             'failures become its exceptions')
        t.eq(len(api.alice.list()['data']), 5,
             'it does not repeat what has failed')


def sample(api, name, task, driver):
    """Runs a sample of the guide with another base URL."""

    with open(os.path.join(CLIENTS, name)) as f:
        text = f.read().replace('https://api.conduit.im',
                                'http://127.0.0.1:%d' % api.port())
    path = api.path(name)
    with open(path, 'w') as f:
        f.write(text + driver)
    program = sys.executable if name.endswith('.py') else 'node'
    return subprocess.Popen([program, path, task, api.secrets['alice']],
                            stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT)


PYTHON = '''
import json, sys
try:
    print(json.dumps(poll_for_completion(*sys.argv[1:])))
except Exception as error:
    print(json.dumps({'message': str(error)}))
'''

NODE = '''
pollForCompletion(...process.argv.slice(2))
    .then(result => console.log(JSON.stringify(result)),
          error => console.log(JSON.stringify({message: error.message})));
'''


def test_samples(t):
    with Api(t, workers=2) as api:
        runs = []

        for prompt in ('a clip', 'sandbox:error=content_policy_violation'):
            for name, driver in (('poll.py', PYTHON), ('poll.js', NODE)):
                task = api.alice.video('sandbox:duration=1s ' + prompt)
                task = task['task_id']
                runs.append((name, prompt, task,
                             sample(api, name, task, driver)))

        for name, prompt, task, process in runs:
            out = process.communicate(timeout=60)[0]
            d = json.loads(out)
            if prompt == 'a clip':
                t.eq((d.get('task_id'), d.get('status')),
                     (task, 'completed'), name + ' sees the end')
            else:
                t.eq(d, {'message': 'Content policy violation detected'},
                     name + ' sees a failure')


run(test_openai, test_samples)
