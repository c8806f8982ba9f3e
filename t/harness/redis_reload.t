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


def test_late(t):
    """Redis answers nothing: worker_shutdown_timeout is the end of waiting."""

    with Redis() as redis, RedisProxy(redis) as proxy, \
            host(t, proxy, 'a', workers=2,
                 main='worker_shutdown_timeout 2s;') as a:
        sink = Sink()
        going = a.alice.image('sandbox:duration=600s')['task_id']
        ending = [a.fire(sink.url('/late'), duration='2s') for i in range(4)]

        proxy.mute()
        t.eq(a.alice.cancel(going).status, 503, 'a cancel that is not kept')
        old = a.workers()
        a.reload()
        begun = time.monotonic()
        wait_for(lambda: not any(map(alive, old)), 60 * SLOW, 'their end')
        t.between(time.monotonic() - begun, 1, 10 * SLOW, 'in time')

        proxy.heal()

        for task in ending:
            t.eq(a.alice.wait(task)['status'], 'completed', 'its end')

        wait_for(lambda: a.alice.cancel(going).status == 200, 30, 'a cancel')
        t.eq(len({hit.id for hit in sink.wait('/late', 4, 30)}), 4,
             'each end is told')
        sink.close()


run(test_reload, test_late)
