#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# Webhooks as others read them: the libraries that verify signatures, and one
# that opens encrypted ones.

import os
import sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from conduit_hooks import *
from conduit_clients import *

MODULES = npm()
PYTHON = venv()


def b64(number):
    return base64.urlsafe_b64encode(number).rstrip(b'=').decode()


def new_jwk(curve='P-256', name='prime256v1', size=32, **more):
    """A private key for JWE, and its public half."""

    pem = subprocess.run(['openssl', 'ecparam', '-name', name, '-genkey',
                          '-noout', '-outform', 'DER'], check=True,
                         stdout=subprocess.PIPE).stdout
    at = pem.index(b'\x04' + bytes([size]))
    secret = pem[at + 2:at + 2 + size]
    point = pem[-2 * size:]
    public = dict(kty='EC', crv=curve, x=b64(point[:size]),
                  y=b64(point[size:]), **more)

    return dict(public, d=b64(secret)), public


def case(hit, secret, body=None, jwk=None, **headers):
    names = ('webhook-id', 'webhook-timestamp', 'webhook-signature')
    return {'headers': dict({name: hit.headers[name] for name in names},
                            **{name.replace('_', '-'): value
                               for name, value in headers.items()}),
            'body': (body or hit.body).decode(), 'secret': secret,
            'jwk': jwk}


def verify(cases):
    """What each library says: (openai, standardwebhooks of npm, of PyPI,
    jose) for each case."""

    environment = dict(os.environ, CONDUIT_CLIENTS=MODULES)
    node = subprocess.run(['node', os.path.join(CLIENTS, 'verify.mjs')],
                          input=json.dumps(cases).encode(), check=True,
                          env=environment, stdout=subprocess.PIPE,
                          timeout=120)
    python = subprocess.run([PYTHON, os.path.join(CLIENTS, 'verify.py')],
                            input=json.dumps(cases).encode(), check=True,
                            stdout=subprocess.PIPE, timeout=120)

    return [(a['openai'], a['standard'], b, a.get('jwe')) for a, b in
            zip(json.loads(node.stdout), json.loads(python.stdout))]


def test_signatures(t):
    old, new, gone, other = [new_secret(n) for n in (24, 64, 32, 32)]
    sink = Sink()

    with Hooks(t, keys={
            'alice': 'webhook_secret %s;' % new,
            'bob': 'webhook_secret %s; webhook_secret %s expires='
                   '2099-01-01T00:00:00Z; webhook_secret %s expires='
                   '2020-01-01T00:00:00Z;' % (new, old, gone)}) as api:
        api.private += [text[6:] for text in (old, new, gone)]
        api.settled(api.fire(sink.url('/a'), prompt='snow ☃ "quoted"',
                             webhook_metadata={'city': 'Zürich', 'n': 1.50}))
        api.settled(api.fire(sink.url('/b'), key='bob'), 'bob')
        a, = sink.hits('/a')
        b, = sink.hits('/b')
        t.eq(b.headers['webhook-signature'],
             signature(new, b) + ' ' + signature(old, b),
             'two secrets: two entries, in their order')

        stale = str(int(a.headers['webhook-timestamp']) - 400)
        tampered = a.body.replace(b'completed', b'cancelled', 1)
        good = [case(a, new), case(b, new), case(b, old)]
        bad = {
            'a changed byte': case(a, new, tampered),
            'a byte more': case(a, new, a.body + b' '),
            'another time': case(a, new, webhook_timestamp=str(
                int(a.headers['webhook-timestamp']) + 1)),
            'an old time': case(a, new, webhook_timestamp=stale),
            'another id': case(a, new, webhook_id='whe_' + '0' * 22),
            'another secret': case(a, other),
            'an expired secret': case(b, gone),
        }
        results = verify(good + list(bad.values()))

        for i, (hit, got) in enumerate(zip((a, b, b), results)):
            for library, result in zip(('openai', 'npm', 'PyPI'), got):
                t.eq(result, {'value': hit.json()},
                     '%s verifies %d' % (library, i + 1))

        for name, got in zip(bad, results[3:]):
            t.ok(all('error' in result for result in got[:3]),
                 'nobody takes ' + name) or t.diag(got)

        # rotated while a retry waits: signed anew, the same body

        task = api.fire(sink.script('/c', 500, 200))
        sink.wait('/c', 1)
        api.key_members['alice'] = 'webhook_secret %s;' % old
        api.setup()
        api.reload()
        api.settled(task)
        first, second = sink.hits('/c')
        t.eq((first.headers['webhook-signature'],
              second.headers['webhook-signature']),
             (signature(new, first), signature(old, second)),
             'a retry is signed with the secrets of its time')
        t.ok(same([first, second]), 'and the rest is the same')

        # without a secret

        api.key_members['alice'] = ''
        api.setup()
        api.reload()
        api.settled(api.fire(sink.url('/d')))
        hit, = sink.hits('/d')
        t.eq(('webhook-signature' in hit.headers, hit.headers.get(
            'x-webhook-timestamp') == hit.headers.get('webhook-timestamp'),
            HOOK_ID.match(hit.id or '') is not None), (False, True, True),
            'without a secret only the signature is missing')


def test_encryption(t):
    secret = new_secret()
    sink = Sink()
    curves = {'alice': new_jwk(kid='2026-11', use='enc'),
              'bob': new_jwk('P-384', 'secp384r1', 48),
              'carol': new_jwk('P-521', 'secp521r1', 66)}

    with Hooks(t, start=False, keys={
            name: 'webhook_secret %s; webhook_jwk %%%%DIR%%%%/%s.jwk;'
                  % (secret, name) for name in curves}) as api:
        api.private.append(secret[6:])
        for name, (private, public) in curves.items():
            api.write(name + '.jwk', json.dumps(public))
        api.start()

        cases = []

        for name, (private, public) in curves.items():
            task = api.fire(sink.script('/' + name, 500, 200), key=name,
                            webhook_metadata={'secret': 'plan of the tower'})
            r = api.ping(sink.url('/ping-' + name), key=name)
            t.eq(r.status, 202, 'a test event')
            api.settled(task, name)
            hits = sink.hits('/' + name)
            t.ok(len(hits) == 2 and same(hits),
                 name + ': encrypted once, sent twice')
            t.eq(hits[0].headers['content-type'], 'application/jose',
                 name + ': its type')
            t.ok(b'plan of the tower' not in hits[0].body,
                 name + ': not in the clear')
            cases.append((task, hits[1], case(hits[1], secret,
                                              jwk=private)))
            hit, = sink.wait('/ping-' + name, 1)
            cases.append((None, hit, case(hit, secret, jwk=private)))

        other = new_jwk()[0]
        hit = cases[0][1]
        broken = hit.body[:-4] + (b'AAAA' if hit.body[-4:] != b'AAAA'
                                  else b'BBBB')
        bad = [case(hit, secret, jwk=other),
               case(hit, secret, broken, jwk=curves['alice'][0])]
        results = verify([one[2] for one in cases] + bad)

        for (task, hit, one), (openai, npm, pypi, jwe) in zip(cases,
                                                              results):
            curve = one['jwk']['crv']
            t.ok('error' not in openai and 'error' not in npm,
                 curve + ': the signature is one of the ciphertext')
            value = jwe.get('value') or t.diag(jwe) or {'header': {},
                                                        'body': '{}'}
            header = value['header']
            t.eq((header.get('alg'), header.get('enc'), header.get('cty'),
                  header.get('kid')), (
                'ECDH-ES+A256KW', 'A256GCM', 'application/json',
                one['jwk'].get('kid')), curve + ': its header')
            event = json.loads(value['body'])
            t.eq((event.get('event_id'), event.get('status')),
                 (hit.id, 'completed' if task else 'test'),
                 curve + ': jose opens it')

        t.ok(all('error' in got[3] for got in results[-2:]),
             'another key, or a changed byte, opens nothing')


run(test_signatures, test_encryption)
