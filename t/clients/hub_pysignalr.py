# Copyright (C) Conduit for nginx authors

# pysignalr as it is: follows TASK to its end and cancels OTHER.

import asyncio
import json
import os

from pysignalr.client import SignalRClient
from pysignalr.protocol.json import JSONProtocol
from pysignalr.protocol.messagepack import MessagepackProtocol

env = os.environ
task, other = env['TASK'], env['OTHER']


def say(*words):
    print(json.dumps(words), flush=True)


async def main():
    happened = asyncio.Queue()

    def told(name):
        async def handler(arguments):
            say(name, *arguments)
            await happened.put((name, arguments[0]))
        return handler

    async def until(*what):
        while await asyncio.wait_for(happened.get(), 60) != what:
            pass

    async def completed(message):
        say('completion', message.result)
        await happened.put(('completion',))

    async def failed(message):
        say('error', message.error)
        await happened.put(('error',))

    async def opened():
        say('open')
        await happened.put(('open',))

    client = SignalRClient(
        env['CONDUIT_URL'],
        protocol=MessagepackProtocol() if env['PROTOCOL'] == 'messagepack'
        else JSONProtocol(),
        headers={'Authorization': 'Bearer ' + env['CONDUIT_KEY']})

    for name in 'TaskProgress', 'TaskCompleted', 'TaskFailed':
        client.on(name, told(name))

    client.on_open(opened)
    client.on_error(failed)
    run = asyncio.create_task(client.run())
    run.add_done_callback(lambda _: os._exit(1))

    await until('open')
    await client.send('SubscribeToTask', [task], completed)
    await until('completion')
    say('subscribed')

    if env.get('RELOAD'):
        await until('open')

        if env['RELOAD'] == 'subscribe':
            await client.send('SubscribeToTask', [task], completed)
            await until('completion')

        say('reconnected')

    await until('TaskCompleted', task)

    await client.send('SubscribeToTask', [other])
    await client.send('CancelTask', [other])
    await until('TaskFailed', other)

    await client.send('Nonsense', [task], completed)
    await until('error')

    say('stopped')
    os._exit(0)


asyncio.run(main())
