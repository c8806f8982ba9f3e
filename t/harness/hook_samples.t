#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# Handlers of webhooks as they are printed, in the guide and in README.md.

import os
import sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from conduit_hooks import *
from conduit_clients import *

MODULES = npm()
PYTHON = venv()



EXPRESS = '''
globalThis.app = require('express')();
globalThis.handleImageCompleted = payload => say('image', payload);
globalThis.handleVideoCompleted = payload => say('video', payload);
globalThis.handleTaskFailed = payload => say('failed', payload);
globalThis.updateProgressUI = payload => say('progress', payload);

function say(word, payload) {
    console.log(JSON.stringify([word, payload.task_id,
                                payload.progress_percentage ?? null]));
}

const server = app.listen(0, '127.0.0.1',
                          () => console.log(server.address().port));
'''

FASTAPI = '''
import json, socket, sys
import uvicorn
sys.path.insert(0, sys.argv[1])
import webhook_fastapi as sample

def say(word):
    async def handler(payload):
        print(json.dumps([word, payload.task_id]), flush=True)
    return handler

sample.handle_image_completed = say('image')
sample.handle_video_completed = say('video')
sample.handle_task_failed = say('failed')
sample.update_progress_ui = say('progress')
listener = socket.create_server(('127.0.0.1', 0))
print(listener.getsockname()[1], flush=True)
uvicorn.Server(uvicorn.Config(sample.app, log_level='warning')).run(
    sockets=[listener])
'''


README = '''
import socket, sys
import uvicorn
import readme
listener = socket.create_server(('127.0.0.1', 0))
print(listener.getsockname()[1], flush=True)
uvicorn.Server(uvicorn.Config(readme.app, log_level='warning')).run(
    sockets=[listener])
'''


def start_sample(folder, name, secret='your-webhook-secret'):
    """A handler as it is printed, as a server: (process, port)."""

    environment = dict(os.environ, WEBHOOK_SECRET=secret,
                       NODE_PATH=os.path.join(MODULES, 'node_modules'),
                       CONDUIT_CLIENTS=MODULES, PYTHONUNBUFFERED='1',
                       PYTHONDONTWRITEBYTECODE='1')

    if name == 'express':
        prelude = os.path.join(folder, 'express.cjs')
        with open(prelude, 'w') as f:
            f.write(EXPRESS)
        command = ['node', '-r', prelude,
                   os.path.join(CLIENTS, 'webhook_express.js')]

    else:
        driver = os.path.join(folder, name + '_driver.py')
        with open(driver, 'w') as f:
            f.write(README if name == 'readme' else FASTAPI)
        command = [PYTHON, driver, CLIENTS]

    process = subprocess.Popen(command, stdout=subprocess.PIPE,
                               env=environment, cwd=folder)
    return process, int(process.stdout.readline())


def test_samples(t):
    folder = new_folder('samples')
    samples = {name: start_sample(folder, name)
               for name in ('express', 'fastapi')}

    try:
        with Hooks(t) as api:
            for name, (process, port) in samples.items():
                check_sample(t, api, name, process,
                             'http://127.0.0.1:%d/webhooks/conduit' % port)

    finally:
        for process, port in samples.values():
            process.kill()
            process.wait()


def test_readme(t):
    """The sample of README.md, which verifies signatures."""

    folder = new_folder('readme')
    secret = new_secret()

    with open(os.path.join(TOP, 'README.md')) as f:
        code = [part.partition('```')[0] for part in
                f.read().split('```python\n')[1:]]

    with open(os.path.join(folder, 'readme.py'), 'w') as f:
        f.write([part for part in code if 'standardwebhooks' in part][0])

    process, port = start_sample(folder, 'readme', secret)

    try:
        with Hooks(t, keys={'alice': 'webhook_secret %s;' % secret,
                            'bob': 'webhook_secret %s;' % new_secret()}
                   ) as api:
            api.private.append(secret[6:])
            url = 'http://127.0.0.1:%d/webhooks/conduit' % port
            task = api.fire(url)
            t.eq(api.outcome(api.settled(task)),
                 ('delivered', 1, 200, None), 'README.md: a signed event')
            t.eq(process.stdout.readline().split(),
                 [task.encode(), b'completed'], 'README.md: is verified')
            t.eq(api.outcome(api.settled(api.fire(url, key='bob'), 'bob')),
                 ('failed', 1, 401, 'status'),
                 'README.md: one of another key is not')

    finally:
        process.kill()
        process.wait()


def check_sample(t, api, name, process, url):
    hook = {'webhook_url': url, 'webhook_headers': {
        'Authorization': 'Bearer your-webhook-secret'}}
    image = api.alice.image('sandbox:duration=0', **hook)['task_id']
    api.settled(image)
    api.alice.wait(image)
    video = api.alice.video('a clip', 'gpu-video', **hook)['task_id']
    api.robot.worker('claim', {'models': ['wan']})
    api.robot.worker('tasks/%s/progress' % video, {'progress': 50})
    api.settled(video)
    api.robot.worker('tasks/%s/complete' % video, {
        'data': [{'url': 'https://cdn.example.com/a.mp4'}]})
    failed = api.alice.image('sandbox:duration=0 sandbox:error='
                             'content_policy_violation',
                             **hook)['task_id']
    expected = [('image', image), ('progress', video), ('video', video),
                ('failed', failed)]
    said = []

    while set(expected) - {tuple(line[:2]) for line in said}:
        line = process.stdout.readline()
        if not line:
            break
        said.append(json.loads(line))

    t.eq([pair for pair in expected
          if pair not in {tuple(line[:2]) for line in said}], [],
         name + ': every handler is called')
    t.eq([api.settled(task, n=n)['status'] for task, n in
          ((image, 0), (video, 0), (video, 1), (failed, 0))],
         ['delivered'] * 4, name + ': and takes what it gets')

    bad = api.fire(url, webhook_headers={'Authorization': 'Bearer wrong'})
    t.eq(api.outcome(api.settled(bad)), ('failed', 1, 401, 'status'),
         name + ': a wrong secret is refused')
    r = api.ping(url, webhook_headers=hook['webhook_headers'])
    t.eq(api.settled_id(r['id'])['status'], 'delivered',
         name + ': a test event is taken')


run(test_samples, test_readme)
