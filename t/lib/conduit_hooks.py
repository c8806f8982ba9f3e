# Copyright (C) Conduit for nginx authors

"""Webhooks for tests: an nginx that may deliver to this machine, and what its
deliveries come to.

    def test(t):
        with Hooks(t) as api:
            sink = Sink()
            task = api.fire(sink.url('/a'))
            hit, = sink.wait('/a', 1)

Scenarios that pause a lot run side by side: each is a function that starts
something and returns one that checks it.
"""

from conduit_api import *
from conduit_sink import *

WEBHOOKS = '/v1/webhooks'
HOOK_ID = re.compile(r'whe_[0-9A-Za-z]{22}\Z')
SETTLED = ('delivered', 'failed', 'dropped')
LOCAL = '''
    conduit_webhook_plain on;
    conduit_webhook_allow 127.0.0.0/8;
'''
SERVER = '''
        location /v1/webhooks { conduit_webhooks; }
        location = /health/webhooks { conduit_health webhooks; }
'''

ITEM = ['id', 'object', 'task_id', 'event', 'webhook_type', 'sequence', 'url',
        'status', 'attempts', 'last_status', 'last_error', 'created_at',
        'updated_at', 'next_attempt_at', 'delivered_at']
ATTEMPT = ['attempt', 'at', 'address', 'status', 'duration_ms', 'error']

# said in requests, and not to be found in any log
HEADER_SECRET = 'header-secret-0815'
QUERY_SECRET = 'query-secret-0816'


class Hooks(Api):
    """An Api with everything for webhooks.  local=False: its addresses are
    refused as they are by default."""

    def __init__(self, t, http='', server='', local=True, **more):
        self.signing = {}
        more.setdefault('workers', 2)
        more.setdefault('gpu', GPU.replace('lease 1s', 'lease 60s'))
        more.setdefault('zone', 'conduit:32m')
        super().__init__(t, http=(LOCAL if local else '') + http,
                         server=SERVER + server, **more)
        self.private += [HEADER_SECRET, QUERY_SECRET]
        self.private += [secret.partition('_')[2]
                         for secret in self.signing.values()]

    def fire(self, url, key='alice', prompt='hook', events=('completed',),
             headers=None, duration=0, error=None, **more):
        """A task that ends at once; its id."""

        text = 'sandbox:duration=%s sandbox:progress=0 %s' % (duration,
                                                              prompt)
        if error:
            text += ' sandbox:error=' + error

        # a small picture: drawing a large one takes longer than all else

        more.setdefault('size', '16x16')
        reply = getattr(self, key).image(text, webhook_url=url,
                                         webhook_events=list(events),
                                         headers=headers, **more)
        if reply.status != 202:
            raise AssertionError('create: %r' % reply)

        return reply['task_id']

    # deliveries

    def deliveries(self, task=None, key='alice', **query):
        """The items of a list, oldest first."""

        if task:
            query['task_id'] = task

        query = dict({'limit': 100, 'order': 'asc'}, **query)
        reply = getattr(self, key).get('%s?%s' % (WEBHOOKS, '&'.join(
            '%s=%s' % pair for pair in query.items())))
        if reply.status != 200:
            raise AssertionError('list: %r' % reply)

        return reply['data']

    def delivery(self, task, key='alice', n=0, timeout=30):
        """One delivery of a task, with its attempts, once it is there."""

        item = wait_for(lambda: self.deliveries(task, key)[n:n + 1], timeout,
                        'a delivery of ' + task)[0]
        return self.show(item['id'], key)

    def show(self, id, key='alice'):
        reply = getattr(self, key).get('%s/%s' % (WEBHOOKS, id))
        if reply.status != 200:
            raise AssertionError('show: %r' % reply)

        return reply.json()

    def settled(self, task, key='alice', n=0, timeout=30):
        """The same once it is delivered, failed or dropped."""

        def over():
            item = self.delivery(task, key, n, timeout)
            return item if item['status'] in SETTLED else None

        return wait_for(over, timeout * SLOW, 'the end of delivery %d of %s'
                        % (n, task), pause=0.1)

    def settled_id(self, id, key='alice', timeout=30):
        return wait_for(lambda: self.show(id, key)['status'] in SETTLED
                        and self.show(id, key), timeout * SLOW,
                        'the end of ' + id, pause=0.1)

    def redeliver(self, id, key='alice'):
        return getattr(self, key).post('%s/%s/redeliver' % (WEBHOOKS, id))

    def ping(self, url, key='alice', **more):
        return getattr(self, key).post(WEBHOOKS + '/test', dict(
            {'webhook_url': url}, **more))

    def outcome(self, item):
        """What a delivery came to, in short."""

        return (item['status'], item['attempts'], item['last_status'],
                item['last_error'])


def side_by_side(t, api, scenarios):
    """Starts all, then checks all."""

    checks = [(scenario.__name__, scenario(t, api)) for scenario in scenarios]

    for name, check in checks:
        try:
            check()

        except Exception:
            t.ok(False, name + ' ran to its end')
            t.diag(traceback.format_exc())


def gaps(hits):
    return [b.at - a.at for a, b in zip(hits, hits[1:])]


def same(hits):
    """One id, the same bytes and, attempt and signature aside, the same
    headers."""

    def rest(hit):
        return [(name, value) for name, value in hit.header_list
                if name.lower() not in ('webhook-timestamp',
                                        'webhook-signature',
                                        'x-webhook-timestamp')]

    return len({(hit.id, hit.body, str(rest(hit))) for hit in hits}) == 1
