#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# the limit of a key's connections over two hosts, which tell each other every
# second how many they have

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

from conduit_api import *
from conduit_hub import *
from conduit_redis import *

# a beat is late by a second at most, and then it has to be heard

SLACK = 1.5 * SLOW

FEW, MANY = 3, 40
RATE = 10

KEYS = {'carol': 'connections %d;' % FEW, 'crowd': 'connections %d;' % MANY}


def host(t, redis, name, like=None, **more):
    return make_host(Api, t, redis, name, like, workers=2, keys=KEYS, **more)


def connect(api, key):
    """A connection, or None."""

    try:
        return Hub(api.port(), api.secrets[key])

    except Refused as e:
        if e.status != 429:
            raise

        return None


def admits(api, key):
    hub = connect(api, key)

    if hub:
        hub.close()

    return hub is not None


def test_delay(t):
    """What is open here is missing there, and the other way round."""

    with Redis() as redis, host(t, redis, 'a') as a, \
            host(t, redis, 'b', a) as b:

        for one, two, name in ((a, b, 'a and b'), (b, a, 'b and a')) * 3:
            hubs = [wait_for(lambda: connect(one, 'carol'), 5, 'an old beat')
                    for _ in range(FEW)]
            opened = time.monotonic()
            wait_for(lambda: not admits(two, 'carol'), 5, 'a refusal')
            t.between(time.monotonic() - opened, 0, SLACK,
                      '%s: at the limit' % name)
            t.eq(admits(one, 'carol'), False, 'at both')

            # and it stays so

            stay = time.monotonic() + 1.2
            n = 0

            while time.monotonic() < stay:
                n += admits(two, 'carol') + admits(one, 'carol')

            t.eq(n, 0, 'for as long as they are open')

            for hub in hubs:
                hub.close()

            closed = time.monotonic()
            wait_for(lambda: admits(two, 'carol'), 5, 'room')
            t.between(time.monotonic() - closed, 0, SLACK,
                      '%s: there is room again' % name)


def test_race(t):
    """Both hosts get as many as each could have, at the same time."""

    with Redis() as redis, host(t, redis, 'a') as a, \
            host(t, redis, 'b', a) as b:

        opened = {'a': [], 'b': []}
        asked = {'a': 0, 'b': 0}
        begun = time.monotonic()

        def crowd(name, api):
            """One that stands still for a while does not make up for it."""

            while asked[name] < 2 * MANY:
                asked[name] += 1
                hub = connect(api, 'crowd')

                if hub:
                    opened[name].append(hub)

                time.sleep(1 / RATE)

        threads = [threading.Thread(target=crowd, args=pair)
                   for pair in (('a', a), ('b', b))]

        for thread in threads:
            thread.start()

        for thread in threads:
            thread.join()

        n = {name: len(hubs) for name, hubs in opened.items()}
        t.diag('%s in %.1f s' % (n, time.monotonic() - begun))

        # each knows what the other one had when it was told last

        t.between(sum(n.values()), MANY, MANY + RATE * SLACK,
                  'the limit holds for both together')
        t.ok(min(n.values()) > 0, 'both have some')
        t.eq([sum(admits(api, 'crowd') for _ in range(20))
              for api in (a, b)], [0, 0], 'and no more')

        for hubs in opened.values():
            for hub in hubs:
                hub.close()

        wait_for(lambda: admits(a, 'crowd') and admits(b, 'crowd'), 10,
                 'room for all')


run(test_delay, test_race)
