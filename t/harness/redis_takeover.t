#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# a host dies long after the others have begun: what it had is taken over in
# time, once

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

from conduit_redis_hooks import *

# hosts look for leases all the time after a start, for 16 seconds

SETTLED = 17


def test_settled(t):
    sink = Sink()

    with Redis() as redis, host(t, redis, 'b') as b, \
            host(t, redis, 'c', b) as c:

        begun = time.monotonic()
        a = host(t, redis, 'a', b)

        with a:
            more = [a.alice.image('sandbox:duration=600s')['task_id']
                    for _ in range(80)]

            time.sleep(max(0, begun + SETTLED - time.monotonic()))

            # not longer than a lease, which has to end first; the others are
            # in most of the shards

            task = a.alice.image('sandbox:duration=9s')['task_id']
            sink.script('/held', hold())
            held = a.fire(sink.url('/held'))
            sink.wait('/held', 1)

            watched = b.alice.events(task)
            killed = time.monotonic()
            a.kill_all()

        sink.script('/held', 200)
        t.eq(b.alice.status(task).status, 200, 'known on b')

        taken_over(t, [task] + more, killed, b, c)

        hits = sink.wait('/held', 2)
        t.between(hits[1].at - killed, 0, TAKEOVER,
                  'what was on its way is sent again in time')

        t.eq([doc['status'] for _, doc in watched][-1], 'completed',
             'an event stream tells the end')
        t.eq([api.alice.wait(task)['status'] for api in (b, c)],
             ['completed'] * 2, 'as all do')
        t.eq([c.alice.cancel(i).status for i in more], [200] * len(more),
             'the others are theirs')
        over(redis, held)
        t.eq(len(sink.hits('/held')), 2, 'sent once')

    sink.close()


run(test_settled)
