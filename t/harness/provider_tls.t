#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# Providers over TLS: their certificates are always verified.

import os
import sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from conduit_api import *

BLOCK = '''
    conduit_provider %(name)s {
        kind  image;
        base  %(url)s;
        auth  none;
        %(more)s

        submit POST /v1/images/generations json sync {
            field  /prompt $prompt required;
        }

        result  url /data/*/url;
    }

    conduit_model %(name)s provider=%(name)s kind=image;
'''


def block(name, provider, more=''):
    return BLOCK % {'name': name, 'url': provider.url, 'more': more}


def test_verify(t):
    folder = new_folder('certificates')
    make_certificates(folder)
    files = [os.path.join(folder, name)
             for name in ('server.pem', 'server.key')]
    good = Provider(0, *files).start()
    other = Provider(0, *files, host='127.0.0.2').start()
    trust = 'trusted_certificate %s/ca.pem;' % folder

    with Api(t, workers=2, http='conduit_task_attempts 2;'
             + block('unknown-ca', good) + block('good', good, trust)
             + block('other-name', other, trust)) as api:
        tasks = {name: api.alice.image(name, name)['task_id']
                 for name in ('unknown-ca', 'other-name', 'good')}

        for name, error in (('unknown-ca', 'provider_unavailable'),
                            ('other-name', 'provider_unavailable'),
                            ('good', None)):
            d = api.alice.wait(tasks[name])
            t.eq(d['error_code'], error, name)

        t.eq((good.count('submit'), other.count()), (1, 0),
             'nothing is sent to others')
        before = good.connections
        for i in range(10):
            api.alice.run(api.alice.image('again %d' % i, 'good'))
        t.eq(good.count('submit'), 11, 'one submit each')
        t.ok(good.connections - before <= 10, 'connections over TLS')
        t.eq(re.findall('stale global SSL', api.error_log()), [],
             'no errors are left for others')

    good.stop()
    other.stop()


run(test_verify)
