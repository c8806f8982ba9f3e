#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# Tasks that end before, while and after somebody subscribes to them: each
# subscription is told of the end exactly once.

import os
import sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from conduit_api import *
from conduit_crowd import *
from conduit_hub import TASKS_HUB

RACES = 1000 if SANITIZE else 10000
ROUND = crowd_size(1000)

HELD = GPU.replace('lease 1s', 'lease 600s')


def running(api, n):
    """Running tasks, by two connections."""

    ids = []

    with api.alice.connect() as c, api.robot.connect() as d:
        for _ in range(n):
            r = c.request('POST', IMAGES + '/async', None,
                          {'model': 'gpu-image', 'prompt': 'x'},
                          api.alice.key)
            ids.append(r.json()['task_id'])

            r = d.request('POST', WORKER + 'claim', None, None,
                          api.robot.key)
            if r.status != 200:
                raise AssertionError(repr(r))

    return ids


def test_race(t):
    limits = 'conduit_connections per_key=%d total=%d;' % (ROUND, ROUND)

    with Api(t, gpu=HELD, workers=2, http=limits, zone='conduit:64m',
             main='worker_rlimit_nofile %d;' % (ROUND + 200)) as api:
        done = 0

        while done < RACES:
            n = min(ROUND, RACES - done)

            with Crowd(api, running(api, n),
                       UPGRADE % (TASKS_HUB, api.alice.key), HELLO,
                       publish(WORKER + 'tasks/{id}/complete', api.robot.key,
                               '{"data":[{"url":"https://h/a.png"}]}')) \
                    as many:
                got = many.do('race', n, 64)
                got.update(many.do('wait', 1, 20 * SLOW))
                many.do('idle', 50)
                got.update(many.do('wait', 1, 0))

                if (got['raced'], got['open'], got['least'], got['most']) \
                        != (n, n, 1, 1):
                    t.eq(got, None, 'one end for each')
                    return

            done += n
            wait_for(lambda: api.metric('conduit_hub_connections') == 0)

        t.eq(done, RACES, 'one end for each')


run(test_race)
