#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# Clients of hubs as they are: the packages of PyPI.

import os
import sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from conduit_api import *
from conduit_clients import *
from conduit_hub import IMAGE_HUB

# signalrcore sees that it was stopped only when something comes

OFTEN = 'conduit_hub_keepalive 500ms;'

HELD = GPU.replace('lease 1s', 'lease 60s')


def follow(t, api, name, protocol, transport='WebSockets', reload=''):
    task, other = [api.alice.image('s', 'gpu-image')['task_id']
                   for _ in range(2)]
    api.robot.worker('claim', {})
    name += ', %s, %s: ' % (transport, protocol)

    with Program([venv(), os.path.join(CLIENTS, name.split(',')[0] + '.py')],
                 CONDUIT_URL='http://127.0.0.1:%d%s' % (api.port(), IMAGE_HUB),
                 CONDUIT_KEY=api.secrets['alice'], PROTOCOL=protocol,
                 TRANSPORT=transport, TASK=task, OTHER=other,
                 RELOAD=reload) as client:
        client.until('subscribed')
        api.robot.worker('tasks/%s/progress' % task, {'progress': 50})
        client.until('TaskProgress', task, 50)
        t.ok(True, name + 'progress')

        if reload:
            api.reload(wait=False)
            client.until('reconnected')
            t.ok(True, name + 'came again after a reload, to ' + reload)

        r = api.robot.worker('tasks/%s/complete' % task, {
            'data': [{'url': 'https://example.com/a.png'}]})
        t.eq(r.status, 200, name + 'complete')

        t.eq(client.ended(), 0, name + 'the client ends')
        ends = [x[2]['imageUrl'] for x in client.said
                if x[0] == 'TaskCompleted']
        t.eq(ends, ['https://example.com/a.png'], name + 'one end')
        t.ok(['TaskFailed', other, 'Task was cancelled'] in client.said,
             name + 'cancelled')
        t.ok(['error', "Unknown hub method 'Nonsense'"] in client.said,
             name + 'an error')


def test_signalrcore(t):
    with Api(t, gpu=HELD, workers=4, http=OFTEN) as api:

        # with LongPolling its polls carry no key, and its MessagePack fails
        # in the client itself

        for transport, protocol in (
                ('WebSockets', 'json'), ('WebSockets', 'messagepack'),
                ('ServerSentEvents', 'json')):
            follow(t, api, 'hub_signalrcore', protocol, transport)

        # the server remembers what they were subscribed to

        for how in 'subscribe', 'trust':
            follow(t, api, 'hub_signalrcore', 'json', reload=how)


def test_pysignalr(t):
    with Api(t, gpu=HELD, workers=4) as api:
        for protocol in 'json', 'messagepack':
            follow(t, api, 'hub_pysignalr', protocol)

        for how in 'subscribe', 'trust':
            follow(t, api, 'hub_pysignalr', 'json', reload=how)


run(test_signalrcore, test_pysignalr)
