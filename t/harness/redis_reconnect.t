#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# many workers lose Redis at the same moment: they do not come back at the same
# moment, ask less and less often, and yet soon enough

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

from conduit_api import *
from conduit_redis import *

WORKERS = 4

# of two hosts; each worker has one for commands and one for messages

CONNECTIONS = 2 * WORKERS * 2

# a pause is at least half of what it may be: 100 ms, twice as much after each
# failure, at last 3 s

FIRST, LAST = 0.1, 3.0

# how long it is looked at when pauses have become what they stay

STEADY = 6.0


class Door(RedisProxy):
    """Tells when somebody comes, and may send all of them away."""

    def __init__(self, redis):
        self.came = []
        self.shut = False
        super().__init__(redis)

    def accept(self, listener):
        while True:
            try:
                client, _ = listener.accept()

            except OSError:
                return

            self.came.append(time.monotonic())

            if self.shut:
                client.close()
            else:
                self.join(client)

    def send_away(self, a, b):
        """All workers lose their connections at once; when that was."""

        self.shut = True

        with a.asleep(), b.asleep():
            del self.came[:]

            for s in list(self.open):
                self.drop(s)

            return time.monotonic()

    def let_in(self):
        del self.came[:]
        self.shut = False
        return time.monotonic()

    def within(self, begun, first, last):
        return [at - begun for at in list(self.came)
                if begun + first <= at < begun + last]


def most(times, span):
    """The most of these times that lie within any span."""

    return max(sum(at <= other < at + span for other in times)
               for at in times)


def first_tries(t, door, begun, name):
    """The first try of each connection."""

    wait_for(lambda: len(door.came) >= CONNECTIONS, 10, 'first tries')
    first = [at - begun for at in door.came[:CONNECTIONS]]
    t.diag('%d to %d ms later' % (first[0] * 1000, first[-1] * 1000))
    t.between(first[0], FIRST / 2 - 0.01, FIRST + 0.2 * BUSY,
              name + ': they are tried again soon')
    t.between(first[-1] - first[0], FIRST / 5, FIRST + 0.2 * BUSY,
              'but not at the same moment')


def test_pauses(t):
    with Redis() as redis, Door(redis) as door, \
            make_host(Api, t, door, 'a', workers=WORKERS) as a, \
            make_host(Api, t, door, 'b', a, workers=WORKERS) as b:

        before = [len(api.error_log()) for api in (a, b)]
        begun = door.send_away(a, b)
        first_tries(t, door, begun, 'lost')

        # 0.1, 0.2, 0.4, 0.8, 1.6 s or half of each: so many tries until then

        time.sleep(max(0, begun + 1.5 - time.monotonic()))
        t.between(len(door.within(begun, 0, 1.5)) / CONNECTIONS, 2.5, 5,
                  'three to five tries at first')

        # from here on at most 3 s, and at least half of that

        settled = 2 * (0.1 + 0.2 + 0.4 + 0.8 + 1.6)
        time.sleep(max(0, begun + settled + STEADY - time.monotonic()))
        steady = door.within(begun, settled, settled + STEADY)
        t.diag('%d tries of %d connections in %.0f s' % (
            len(steady), CONNECTIONS, STEADY))
        t.between(len(steady) / CONNECTIONS, STEADY / LAST - 1,
                  STEADY / (LAST / 2) + 1, 'then one each 1.5 to 3 seconds')
        t.between(most(steady, 0.05), 1, CONNECTIONS / 2,
                  'never many of them at once')

        # it is back, and all are there as soon as it is promised

        opened = door.let_in()
        connect_all(a, before[0])
        connect_all(b, before[1])
        back = [at - opened for at in door.came]
        t.eq(len(back), CONNECTIONS, 'each comes once')
        t.between(max(back), 0.3, LAST + 0.5 * BUSY, 'within 3 seconds')
        t.between(most(back, 0.05), 1, CONNECTIONS / 2, 'one after another')

        wait_for(lambda: [api.alice.image('x').status
                          for api in (a, b)] == [202] * 2, 10, 'creates')

        # what has been good begins with a short pause again

        before = [len(api.error_log()) for api in (a, b)]
        begun = door.send_away(a, b)
        first_tries(t, door, begun, 'once more')
        door.let_in()
        connect_all(a, before[0])
        connect_all(b, before[1])


run(test_pauses)
