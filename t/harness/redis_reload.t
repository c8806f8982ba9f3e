#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# workers that leave while Redis is slow: what waits for it gets its answer

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

from conduit_redis_hooks import *

SLOW_REPLY = 2


class Later(threading.Thread):
    """A request whose reply is waited for later."""

    def __init__(self, send):
        super().__init__(daemon=True)
        self.send = send
        self.reply = None
        self.start()

    def run(self):
        try:
            self.reply = self.send()

        except (OSError, EOFError) as e:
            self.reply = e

    def status(self):
        self.join()
        return getattr(self.reply, 'status', self.reply)


def tasks(redis):
    return [key for key in redis.keys('conduit:*:task:*')]


def state(redis, task):
    return field(redis, task, 'h').split(b' ')[1]


def test_reload(t):
    with Redis() as redis, RedisProxy(redis) as proxy, \
            host(t, proxy, 'a') as a:
        task = a.alice.image('sandbox:duration=60s')['task_id']

        def create():
            before = len(tasks(redis))
            request = Later(lambda: a.alice.image('sandbox:duration=1ms'))
            wait_for(lambda: len(tasks(redis)) > before, what='a create')
            return request

        def cancel():
            request = Later(lambda: a.alice.cancel(task))
            wait_for(lambda: state(redis, task) == b'4', what='a cancel')
            return request

        for name, send, status in (('a create', create, 202),
                                   ('a cancel', cancel, 200)):
            old = a.workers()
            proxy.delay(SLOW_REPLY)
            request = send()
            a.reload()
            t.eq(request.status(), status, name + ' is answered')
            proxy.delay(0)
            wait_for(lambda: not any(map(alive, old)), what='their end')
            connect_all(a)


run(test_reload)
