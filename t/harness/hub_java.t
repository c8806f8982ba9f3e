#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# The Java client of hubs as it is.  Its MessagePack is not in Maven Central.

import os
import sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from conduit_api import *
from conduit_clients import *
from conduit_hub import IMAGE_HUB

HELD = GPU.replace('lease 1s', 'lease 60s')


def follow(t, api, transport, reload=''):
    task, other = [api.alice.image('s', 'gpu-image')['task_id']
                   for _ in range(2)]
    api.robot.worker('claim', {})
    name = transport + ': '

    with Program(['java', '-XX:TieredStopAtLevel=1', '-cp', java(),
                  'HubClient'],
                 CONDUIT_URL='http://127.0.0.1:%d%s' % (api.port(), IMAGE_HUB),
                 CONDUIT_KEY=api.secrets['alice'], TRANSPORT=transport,
                 TASK=task, OTHER=other, RELOAD=reload) as client:
        client.until('subscribed')
        api.robot.worker('tasks/%s/progress' % task, {'progress': 50})
        client.until('TaskProgress', task, 50)
        t.ok(True, name + 'progress')

        if reload:
            api.reload(wait=False)
            client.until('reconnected')
            t.ok(True, name + 'came again after a reload')

        r = api.robot.worker('tasks/%s/complete' % task, {
            'data': [{'url': 'https://example.com/a.png'}]})
        t.eq(r.status, 200, name + 'complete')

        t.eq(client.ended(), 0, name + 'the client ends')
        ends = [x[2]['imageUrl'] for x in client.said
                if x[0] == 'TaskCompleted']
        t.eq(ends, ['https://example.com/a.png'], name + 'one end')
        t.ok(['CancelTask', 'cancelled'] in client.said, name + 'cancelled')
        t.ok(['TaskFailed', other, 'Task was cancelled'] in client.said,
             name + 'told')
        t.ok(['error', "Unknown hub method 'Nonsense'"] in client.said,
             name + 'an error')


def test_java(t):
    java()

    with Api(t, gpu=HELD, workers=4) as api:
        offered = api.alice.post(IMAGE_HUB + '/negotiate').json()
        offered = [x['transport'] for x in offered['availableTransports']]

        for transport in 'WebSockets', 'LongPolling':
            if transport in offered:
                follow(t, api, transport)

        follow(t, api, 'WebSockets', reload='subscribe')


run(test_java)
