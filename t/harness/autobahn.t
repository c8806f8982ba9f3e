#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# The cases of the Autobahn test suite but for those of compression, which is
# not offered, against hubs that send back what they get.  Autobahn's own
# program runs with Python 2.7 only; kosoku has the same cases in Python 3.

import os
import sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
import conduit_harness
from conduit_api import *
from conduit_clients import *

conduit_harness.MODULE = os.path.join(BUILD, 'echo', os.path.basename(MODULE))

SECRET = 'condt_echo'

# what is sent back has to wait for clients that first send all they have

HTTP = '''
    conduit_zone conduit:4m;
    conduit_rate off;
    conduit_connections per_key=1000 total=1000;
    conduit_hub_keepalive 10m;
    conduit_hub_timeout 30m;
    conduit_hub_buffer 16m;
    conduit_key echo { secret sha256:%s; }

    server {
        listen 127.0.0.1:%%%%PORT%%%%;

        location = / { rewrite ^ /hubs/tasks?access_token=%s last; }
        location /hubs/tasks { conduit_hub tasks; }
    }
''' % (hashlib.sha256(SECRET.encode()).hexdigest(), SECRET)

COMPRESSION = ['12.*', '13.*']
CASES = 301

# of these only the outcome is told, there is no right one

OPEN = {'7.1.6', '7.13.1', '7.13.2'}


def judge(t, name, ng, command):
    folder = ng.path('report')

    done = subprocess.run(command, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=240)

    with open(os.path.join(folder, 'index.json')) as f:
        (cases,) = json.load(f).values()

    t.eq(len(cases), CASES, name + ' runs all cases')
    bad = {number: (case['behavior'], case['behaviorClose'])
           for number, case in cases.items()
           if number not in OPEN
           and (case['behavior'], case['behaviorClose']) != ('OK', 'OK')
           or case['behavior'] not in ('OK', 'INFORMATIONAL')}

    if not t.eq(bad, {}, name + ' finds no fault'):
        t.diag(done.stdout.decode(errors='replace')[-2000:])


def test_autobahn(t):
    command = wstest()

    if command is None:
        t.ok(True, 'Autobahn: skipped: there is no Python 2.7')
        return

    with Nginx(t, HTTP) as ng:
        ng.write('spec.json', json.dumps({
            'outdir': ng.path('report'),
            'servers': [{'agent': 'conduit',
                         'url': 'ws://127.0.0.1:%d' % ng.port()}],
            'cases': ['*'], 'exclude-cases': COMPRESSION,
            'exclude-agent-cases': {}}))
        judge(t, 'Autobahn', ng, command + ['-m', 'fuzzingclient', '-s',
                                            ng.path('spec.json')])


def test_kosoku(t):
    command = [os.path.join(os.path.dirname(venv()), 'kosoku'), '-p', '2']

    with Nginx(t, HTTP) as ng:
        for cases in COMPRESSION:
            command += ['-x', cases]

        judge(t, 'kosoku', ng, command + ['-o', ng.path('report'),
                                          '127.0.0.1:%d' % ng.port()])


if not os.path.exists(conduit_harness.MODULE):
    skip_all('skipped: %s was not built' % conduit_harness.MODULE)

run(test_autobahn, test_kosoku)
