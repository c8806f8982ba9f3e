#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# who counts what other hosts have, when that passes from worker to worker

import os
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

from conduit_api import *
from conduit_redis import *


def host(t, redis, name, like=None, **more):
    return make_host(Api, t, redis, name, like, **more)


def test_leader(t):
    """A worker that stands still while another one counts in its place."""

    with Redis() as redis, host(t, redis, 'a', workers=2, server=PID) as a, \
            host(t, redis, 'b', a) as b:

        def make(n):
            return [b.alice.image('sandbox:duration=600s')['task_id']
                    for _ in range(n)]

        def heard(n):
            wait_for(lambda: a.metric('conduit_provider_tasks_away',
                                      provider='sandbox') == n, 20,
                     'a to hear of %d tasks' % n)

        for pid in a.workers():
            tasks = make(3)
            heard(3)
            os.kill(pid, signal.SIGSTOP)

            # who is told of this one leads now, if it has not before

            try:
                tasks += make(1)
                heard(4)

                for task in tasks:
                    b.alice.cancel(task)

                heard(0)

            finally:
                os.kill(pid, signal.SIGCONT)

            # it gets all that has been said meanwhile, and what is said now

            pulse = Pulse(a)
            wait_for(lambda: pulse.asked[pid] > 1, what='the worker')
            pulse.end(t, 'afterwards', 1)
            tasks = make(1)
            heard(1)
            b.alice.cancel(tasks[0])
            heard(0)

            replies = [a.alice.image('x') for _ in range(8)]
            t.eq([r for r in replies if r.status != 202], [],
                 'what is counted twice or not at all is no limit')


run(test_leader)
