#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# webhooks of several hosts with one Redis: whoever changes a task, one host
# delivers what it has to tell, and all hosts tell the same of it

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

from conduit_redis_hooks import *


def test_cancelled(t):
    """What host b changes of a's task is delivered by one of them."""

    with Redis() as redis, host(t, redis, 'a', first='6s') as a, \
            host(t, redis, 'b', a, first='6s') as b:
        sink = Sink()

        # nothing else waits: who makes the change delivers

        task = a.fire(sink.url('/b'), duration=60, events=('cancelled',))
        t.eq(b.alice.cancel(task).status, 200, 'cancelled on b')
        sink.wait('/b', 1)
        over(redis, task)
        wait_for(lambda: b.deliveries(task)[0]['status'] == 'delivered', 20,
                 'b to know it')

        # a owes an older event: it delivers the newer one, too

        sink.script('/a', 500, 200)
        task = a.fire(sink.url('/a'), duration=60,
                      events=('started', 'cancelled'))
        sink.wait('/a', 1)
        t.eq(b.alice.cancel(task).status, 200, 'cancelled on b')
        hits = sink.wait('/a', 3, 40)
        over(redis, task)
        t.eq(len({hit.id for hit in hits[:2]}), 1, 'the older one first')
        t.eq([item['event'] for item in a.deliveries(task)],
             ['started', 'cancelled'], 'then the newer one')
        wait_for(lambda: [item['status'] for item in a.deliveries(task)]
                 == ['delivered', 'delivered'], 20, 'both by a')
        t.eq(len(sink.hits('/a')), 3, 'none twice')
        t.eq(len(sink.hits('/b')), 1, 'none twice')


def test_retried(t):
    """A failed task of a is tried again on b while a still delivers."""

    with Redis() as redis, host(t, redis, 'a') as a, \
            host(t, redis, 'b', a) as b:
        sink = Sink()
        sink.script('/x', 500, 200)
        task = a.fire(sink.url('/x'), error='provider_error',
                      events=('failed',))
        sink.wait('/x', 1)
        t.eq(b.alice.retry(task).status, 202, 'tried again on b')
        hits = sink.wait('/x', 3, 40)
        over(redis, task)
        t.eq(len(sink.hits('/x')), 3, 'one retry, two events')
        t.eq([hit.id == hits[0].id for hit in hits], [True, True, False],
             'in their order')
        wait_for(lambda: [i['status'] for i in a.deliveries(task)]
                 == ['delivered', 'delivered'], 20, 'both on a')


def test_seen(t):
    """Both hosts tell the same of a delivery, and either sends it again."""

    with Redis() as redis, host(t, redis, 'a', first='10s') as a, \
            host(t, redis, 'b', a, first='10s') as b:
        sink = Sink()
        seen = threading.Event()
        sink.script('/x', 500, 200, after(seen), 200)
        task = a.fire(sink.url('/x'))
        sink.wait('/x', 1)
        wait_for(lambda: b.deliveries(task)
                 and b.deliveries(task)[0]['attempts'] == 1, 10,
                 'the first attempt on b')
        item = b.deliveries(task)[0]
        t.eq(item['status'], 'pending', 'b tells that it is pending')
        t.eq(b.alice.document(task)['webhook']['status'], 'pending',
             'so does the document')
        t.eq(b.redeliver(item['id']).status, 409, 'not to be sent again yet')
        t.eq(b.bob.get('/v1/webhooks/' + item['id']).status, 404,
             'not for others')

        sink.wait('/x', 2)
        wait_for(lambda: b.show(item['id'])['status'] == 'delivered', 20,
                 'the end on b')
        over(redis, task)
        wait_for(lambda: a.show(item['id'])['status'] == 'delivered', 20,
                 'the end on a')
        mine, other = a.show(item['id']), b.show(item['id'])
        t.eq([mine[k] for k in ITEM], [other[k] for k in ITEM],
             'both tell the same')
        t.eq(b.alice.document(task)['webhook'],
             a.alice.document(task)['webhook'], 'in documents, too')

        # b sends what a has delivered

        reply = b.redeliver(item['id'])
        t.eq((reply.status, reply['status']), (202, 'pending'),
             'sent again by b')
        wait_for(lambda: courier(redis, task) == 'b', 10, 'b to have it')
        seen.set()
        hits = sink.wait('/x', 3)
        t.eq(hits[2].id, hits[0].id, 'the same one')
        t.eq(hits[2].body, hits[0].body, 'the same body')
        over(redis, task)
        wait_for(lambda: a.show(item['id'])['attempts'] == 3
                 and a.show(item['id'])['status'] == 'delivered', 20,
                 'a to know it')

        # while a has something else to deliver of the task, it sends

        t.eq(a.redeliver(item['id']).status, 202, 'a has its turn')
        sink.wait('/x', 4)
        over(redis, task)
        t.eq(len(sink.hits('/x')), 4, 'each once')

        # a list without a filter knows them all

        wait_for(lambda: {i['id'] for i in b.deliveries()}
                 == {i['id'] for i in a.deliveries()} != set(), 20,
                 'the same lists')


def test_redelivered_elsewhere(t):
    """Asked of b while a owes a newer event of the same task: a sends."""

    with Redis() as redis, host(t, redis, 'a', first='8s') as a, \
            host(t, redis, 'b', a, first='8s') as b:
        sink = Sink()
        sink.script('/x', 200, 500, 200)
        task = a.fire(sink.url('/x'), duration=2,
                      events=('started', 'completed'))
        first = sink.wait('/x', 2)[0]
        t.eq(courier(redis, task), 'a', 'a has something to deliver')
        t.eq(b.redeliver(first.id).status, 202, 'sent again by b')
        hits = sink.wait('/x', 4, 40)
        over(redis, task)
        t.eq(sorted(hit.id == first.id for hit in hits),
             [False, False, True, True], 'both of them, twice')
        t.eq(len(sink.hits('/x')), 4, 'and no more')
        wait_for(lambda: [i['attempts'] for i in a.deliveries(task)]
                 == [2, 2], 20, 'both by a')


run(test_cancelled, test_retried, test_seen,
    test_redelivered_elsewhere)
