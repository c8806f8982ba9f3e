# Copyright (C) Conduit for nginx authors

# signalrcore as it is: follows TASK to its end and cancels OTHER.

import json
import logging
import os
import queue
import sys

from signalrcore.hub_connection_builder import HubConnectionBuilder
from signalrcore.types import HttpTransportType, HubProtocolEncoding

env = os.environ
task, other = env['TASK'], env['OTHER']
happened = queue.Queue()


def say(*words):
    # its callbacks run in several threads, and a line is written at once

    sys.stdout.write(json.dumps(words) + '\n')
    sys.stdout.flush()


def told(name):
    def handler(arguments):
        say(name, *arguments)
        happened.put((name, arguments[0]))
    return handler


def until(*what):
    while happened.get(timeout=60) != what:
        pass


def invoke(word, method, arguments):
    def completed(message):
        say(word, message.result)
        happened.put((word,))

    connection.invoke(method, arguments, completed)


options = {
    'headers': {'Authorization': 'Bearer ' + env['CONDUIT_KEY']},
    'transport': HttpTransportType(env['TRANSPORT']),
}

connection = (
    HubConnectionBuilder()
    .with_url(env['CONDUIT_URL'], options=options)
    .configure_logging(logging.CRITICAL)
    .with_hub_protocol(HubProtocolEncoding.binary
                       if env['PROTOCOL'] == 'messagepack'
                       else HubProtocolEncoding.text)
    .with_automatic_reconnect({
        'type': 'raw', 'keep_alive_interval': 10, 'reconnect_interval': 1,
        'max_attempts': 5})
    .build())

for name in 'TaskProgress', 'TaskCompleted', 'TaskFailed':
    connection.on(name, told(name))


def on_open():
    say('open')
    happened.put(('open',))


def on_error(message):
    say('error', getattr(message, 'error', str(message)))
    happened.put(('error',))


connection.on_open(on_open)
connection.on_reconnect(on_open)
connection.on_error(on_error)
connection.start()
until('open')

invoke('subscribed', 'SubscribeToTask', [task])
until('subscribed')

if env.get('RELOAD'):
    until('open')

    if env['RELOAD'] == 'subscribe':
        invoke('subscribed', 'SubscribeToTask', [task])
        until('subscribed')

    say('reconnected')

until('TaskCompleted', task)

invoke('subscribed', 'SubscribeToTask', [other])
until('subscribed')
connection.invoke('CancelTask', [other])
until('TaskFailed', other)

connection.invoke('Nonsense', [task])
until('error')

connection.stop()
say('stopped')
os._exit(0)
