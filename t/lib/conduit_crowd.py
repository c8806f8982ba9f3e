# Copyright (C) Conduit for nginx authors

"""WebSocket clients by the thousand, in a process of their own.

    with Crowd(api, ids, key) as crowd:
        crowd.do('open', 1000, 256, 4)

t/bench/crowd.c tells the commands.  Each connection subscribes to one of the
tasks, in turn, and a publish tells progress of, or ends, a task; it goes to
another server where one is named.
"""

import resource
import subprocess

from conduit_harness import *

CROWD = os.path.join(BUILD, 'bench', 'crowd')

UPGRADE = ('GET %s HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n'
           'Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n'
           'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n'
           'Authorization: Bearer %s\r\n\r\n')

HELLO = ('{"protocol":"json","version":1}\x1e\n--\n'
         '{"type":1,"invocationId":"1","target":"SubscribeToTask",'
         '"arguments":["{id}"]}\x1e')

PUBLISH = ('POST %s HTTP/1.1\r\nHost: localhost\r\n'
           'Authorization: Bearer %s\r\n'
           'Content-Type: application/json\r\n'
           'Content-Length: %d\r\n\r\n%s')

# what is known of a running task on /hubs/tasks after the subscription:
# the answer to the handshake, the completion, TaskStarted, TaskProgress

TOLD = 4


def crowd_size(wanted, others=1000):
    """How many connections the limits of this machine allow."""

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]

    if hard == resource.RLIM_INFINITY:
        return wanted

    return min(wanted, hard - others)


def publish(path, key, body):
    """A request; what stands for a name has another length than its name."""

    size = len(body)

    for name, length in (('{id}', 36), ('{n}', 10)):
        size += body.count(name) * (length - len(name))

    return PUBLISH % (path, key, size, body)


class Crowd:
    def __init__(self, server, ids, upgrade, hello='', publish='',
                 end='"TaskCompleted"', to=None):
        names = ('ids', 'upgrade', 'hello', 'publish')
        paths = []

        for name, text in zip(names, ('\n'.join(ids), upgrade, hello,
                                      publish)):
            paths.append(server.path('crowd.' + name))
            with open(paths[-1], 'w') as f:
                f.write(text)

        self.server = server
        self.ids = ids
        self.process = subprocess.Popen(
            [CROWD, '%d:%d' % (server.port(), (to or server).port())]
            + paths + [end],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        self.process.stdin.close()
        self.process.wait()

    def do(self, *words):
        """A command; the names and numbers of its answer."""

        self.process.stdin.write(
            (' '.join(map(str, words)) + '\n').encode())
        self.process.stdin.flush()
        words = self.process.stdout.readline().decode().split()

        if not words:
            raise RuntimeError('the crowd has ended')

        return {name: int(value)
                for name, value in zip(words[::2], words[1::2])}
