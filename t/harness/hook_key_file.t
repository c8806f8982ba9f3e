#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# What a conduit_key_file says about webhooks, read again while deliveries are
# made: secrets and their rotation, encryption, rates.

import base64
import datetime
import hashlib
import hmac
import os
import sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from conduit_hooks import *

A = b'a' * 24
B = b'b' * 64

# RFC 7517, appendix A.1

JWK = {'kty': 'EC', 'crv': 'P-256', 'use': 'enc', 'kid': 'the key',
       'x': 'MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4',
       'y': '4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM'}


def whsec(secret):
    return 'whsec_' + base64.b64encode(secret).decode()


def stamp(seconds):
    return (datetime.datetime.utcnow() + datetime.timedelta(
        seconds=seconds)).strftime('%Y-%m-%dT%H:%M:%SZ')


def signers(hit, secrets=(A, B)):
    """Whose signatures a request has, in their order."""

    head = ('%s.%s.' % (hit.id, hit.headers['webhook-timestamp'])).encode()
    names = {}
    for secret in secrets:
        mac = hmac.new(secret, head + hit.body, hashlib.sha256).digest()
        names['v1,' + base64.b64encode(mac).decode()] = secret[:1].decode()

    return ''.join(names.get(part, '?') for part in
                   hit.headers.get('webhook-signature', '').split(' ')
                   if part)


class Deliveries:
    """Test events of one key, one after the other."""

    def __init__(self, api, sink):
        self.api = api
        self.sink = sink
        self.n = 0

    def next(self):
        self.n += 1
        path = '/%d' % self.n
        reply = self.api.ping(self.sink.url(path), 'dave')
        if reply.status != 202:
            raise AssertionError('test event: %r' % reply)

        return self.sink.wait(path, 1)[0]

    def until(self, good, timeout=10):
        """The first that is as it should be, after the file was changed."""

        return wait_for(lambda: (lambda hit: good(hit) and hit)(self.next()),
                        timeout * SLOW, 'such a delivery', pause=0.2)


def test_file(t):
    sink = Sink()

    with Hooks(t, start=False, keys={'dave': None},
               http='conduit_key_file %%DIR%%/keys.json;'
                    'conduit_webhook_retry 10s;') as api:
        def text(**members):
            return json.dumps({'dave': dict({'secret': api.sha256('dave')},
                                            **members)})

        def put(**members):
            api.put_keys(text(**members))

        api.write('keys.json', text())
        api.private += [whsec(A)[6:], whsec(B)[6:]]
        api.start()
        pids = api.workers()
        flow = Deliveries(api, sink)

        hit = flow.next()
        t.eq((hit.headers.get('webhook-signature'), hit.id is not None),
             (None, True), 'no secret, no signature')

        put(webhook_secret=whsec(A))
        t.ok(flow.until(lambda hit: signers(hit) == 'a'), 'one secret')

        put(webhook_secret=[whsec(B), {'secret': whsec(A),
                                       'expires': stamp(3600)}])
        t.ok(flow.until(lambda hit: signers(hit) == 'ba'),
             'two while one is changed, in their order')

        put(webhook_secret=[{'secret': whsec(A), 'expires': stamp(-60)},
                            whsec(B)])
        t.ok(flow.until(lambda hit: signers(hit) == 'b'), 'an expired one')

        put(webhook_secret=[{'secret': whsec(A), 'expires': stamp(20)},
                            {'secret': whsec(B)}])
        t.ok(flow.until(lambda hit: signers(hit) == 'ab'),
             'one that is about to expire')
        t.ok(flow.until(lambda hit: signers(hit) == 'b', 30),
             'does so without another change')

        # an attempt is signed by what is in force when it is made

        put(webhook_secret=whsec(A))
        path = '/again'
        task = api.fire(sink.script(path, 500, 200), 'dave')
        sink.wait(path, 1)
        put(webhook_secret=whsec(B))
        first, second = sink.wait(path, 2)
        t.eq((signers(first), signers(second)), ('a', 'b'),
             'a secret that is changed between two attempts')
        t.eq((first.id, first.body), (second.id, second.body),
             'of the same event, with the same bytes')
        t.eq(api.settled(task, 'dave')['status'], 'delivered', 'and its end')

        # encryption

        api.write('dave.jwk', json.dumps(JWK))
        put(webhook_secret=whsec(B), webhook_jwk=api.path('dave.jwk'))
        hit = flow.until(lambda hit: hit.headers['content-type']
                         == 'application/jose')
        t.like(hit.body.decode(), r'[\w-]+(\.[\w-]+){4}\Z', 'encrypted')
        head = hit.body.partition(b'.')[0]
        head = json.loads(base64.urlsafe_b64decode(head + b'=' *
                                                   (-len(head) % 4)))
        t.eq((list(head), head['kid'], head['cty']),
             (['alg', 'enc', 'cty', 'kid', 'epk'], 'the key',
              'application/json'), 'by this header')
        t.eq(signers(hit), 'b', 'what is sent is what is signed')

        api.write('bad.jwk', json.dumps(dict(JWK, y=JWK['x'])))
        api.write('keys.json', text(webhook_jwk=api.path('bad.jwk')))
        api.wait_log('lies on its curve')
        t.eq(flow.next().headers['content-type'], 'application/jose',
             'a key that cannot be: the last good file is in force')

        put()
        hit = flow.until(lambda hit: hit.headers['content-type']
                         == 'application/json')
        t.eq((hit.json()['status'], hit.headers.get('webhook-signature')),
             ('test', None), 'in clear text, and unsigned again')

        # rates

        put(webhook_rate='1r/m')
        held = wait_for(lambda: held_back(api, sink), 20 * SLOW,
                        'an event that waits', pause=0.2)
        item = api.show(held, 'dave')
        t.eq((item['status'], item['attempts']), ('pending', 0),
             'a rate of the file holds back')
        t.eq(api.workers(), pids, 'all without a reload')

    sink.close()


def held_back(api, sink):
    """The id of a test event that waits although its receiver is there."""

    id = api.ping(sink.url('/held'), 'dave').json()['id']

    try:
        api.settled_id(id, 'dave', 1)
        return None

    except TimeoutError:
        return id


run(test_file)
