#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# Clients of hubs as they are: the npm package of SignalR.

import os
import sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from conduit_api import *
from conduit_clients import *
from conduit_hub import *

MODULES = npm()
HELD = GPU.replace('lease 1s', 'lease 60s')

# each request lands where the kernel puts it

SPREAD = 'listen 127.0.0.1:%%PORT1%% reuseport backlog=8192;'


def client_of(api, task, protocol, transport, port, **more):
    return subprocess.Popen(
        ['node', os.path.join(CLIENTS, 'hub.mjs')],
        env=dict(os.environ, CONDUIT_CLIENTS=MODULES, TASK=task,
                 CONDUIT_KEY=api.secrets['alice'], PROTOCOL=protocol,
                 TRANSPORT=transport, CONDUIT_URL='http://127.0.0.1:%d%s'
                 % (port, IMAGE_HUB), **more),
        stdout=subprocess.PIPE)


def follow(t, api, protocol, transport, reload=False):
    name = '%s, %s: ' % (transport, protocol)
    task = api.alice.image('s', 'gpu-image')['task_id']
    api.robot.worker('claim', {})

    client = client_of(api, task, protocol, transport, api.port(1))

    try:
        said = []

        def until(word):
            while not said or said[-1][0] != word:
                line = client.stdout.readline()
                if not line:
                    raise AssertionError(said)
                said.append(json.loads(line))

        until('subscribed')
        api.robot.worker('tasks/%s/progress' % task, {'progress': 50})

        while ['TaskProgress', task, 50] not in said:
            said.append(json.loads(client.stdout.readline()))

        t.ok(True, name + 'progress')

        if reload:
            api.reload(wait=False)
            until('reconnected')
            t.ok(True, name + 'came again after a reload')

        r = api.robot.worker('tasks/%s/complete' % task, {
            'data': [{'url': 'https://example.com/a.png'}]})
        t.eq(r.status, 200, name + 'complete')

        until('stopped')
        ends = [x for x in said if x[0] == 'TaskCompleted']
        t.eq([x[2]['imageUrl'] for x in ends],
             ['https://example.com/a.png'], name + 'one end')
        t.ok(['GetTask', 'completed'] in said, name + 'GetTask')
        t.ok(any(x[0] == 'error' and 'Unknown hub method' in x[1]
                 for x in said), name + 'an error')
        t.eq(client.wait(20 * PATIENCE), 0, name + 'the client ends')

    finally:
        if client.poll() is None:
            client.kill()
        client.stdout.close()
        client.wait()


def test_signalr(t):
    with Api(t, gpu=HELD, workers=4, server=SPREAD) as api:
        for transport in 'WebSockets', 'ServerSentEvents', 'LongPolling':
            for protocol in 'json', 'messagepack':
                if (transport, protocol) == ('ServerSentEvents',
                                             'messagepack'):
                    continue
                follow(t, api, protocol, transport)
                follow(t, api, protocol, transport, True)


def test_stateful(t):
    """The connection is cut again and again, which the client does not
    tell: nothing is lost, and nothing comes twice."""

    with Api(t, gpu=HELD, workers=4, server=SPREAD) as api:
        for protocol in 'json', 'messagepack':
            name = 'stateful, %s: ' % protocol
            cutter = Cutter(api.port(1))
            task = api.alice.image('s', 'gpu-image')['task_id']
            api.robot.worker('claim', {})
            connects = api.metric('conduit_hub_connects_total')
            client = client_of(api, task, protocol, 'WebSockets',
                               cutter.port, STATEFUL='1')
            said = []

            def until(*words):
                while words[-1] not in said:
                    line = client.stdout.readline()
                    if not line:
                        raise AssertionError(said)
                    line = json.loads(line)
                    said.append(line[0] if len(line) == 1 else line)

            try:
                until('subscribed')

                for i in range(1, 6):
                    before = api.metric('conduit_hub_reconnects_total')
                    cutter.cut()
                    r = api.robot.worker('tasks/%s/progress' % task,
                                         {'progress': 10 * i})
                    t.eq(r.status, 200, name + 'progress')
                    until(['TaskProgress', task, 10 * i])
                    wait_for(lambda: api.metric(
                        'conduit_hub_reconnects_total') > before)

                api.robot.worker('tasks/%s/progress' % task, {'progress': 99})
                until('calls')
                cutter.cut()
                r = api.robot.worker('tasks/%s/complete' % task, {
                    'data': [{'url': 'https://example.com/a.png'}]})
                t.eq(r.status, 200, name + 'complete')
                until('stopped')
                t.eq(client.wait(20 * PATIENCE), 0, name + 'the client ends')
                t.ok('reconnecting' not in said, name + 'it was not told')
                told = [x[2] for x in said if x[0] == 'TaskProgress']
                t.eq(told, sorted(set(told)), name + 'each progress once')
                t.eq(sum(x[0] == 'TaskCompleted' for x in said), 1,
                     name + 'one end')
                t.eq(api.metric('conduit_hub_connects_total'), connects + 1,
                     name + 'one connection')

            finally:
                if client.poll() is None:
                    client.kill()
                client.stdout.close()
                client.wait()
                cutter.close()


run(test_signalr, test_stateful)
