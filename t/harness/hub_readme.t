#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# The client in README.md follows a task on conf.example, as it stands there.

import os
import re
import signal
import subprocess
import sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from conduit_harness import *
from conduit_clients import *

MODULES = npm()


def client(base):
    with open(os.path.join(TOP, 'README.md')) as f:
        text = re.search(r'(?ms)^## Hubs\n.*?^```js\n(.*?)^```', f.read())[1]

    return text.replace('http://127.0.0.1:8080', base)


def test_client(t):
    folder = new_folder('readme')
    port = free_port()

    subprocess.run(['t/lib/run', folder, BUILD, str(port)], cwd=TOP,
                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                   stderr=subprocess.STDOUT, timeout=60, check=True)

    try:
        base = 'http://127.0.0.1:%d' % port
        os.symlink(os.path.join(MODULES, 'node_modules'),
                   os.path.join(folder, 'node_modules'))

        with open(os.path.join(folder, 'hub.mjs'), 'w') as f:
            f.write(client(base))

        with open(os.path.join(folder, 'demo.key')) as f:
            key = f.read().strip()

        p = subprocess.run(['node', 'hub.mjs'], cwd=folder, timeout=60,
                           env=dict(os.environ, KEY=key),
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT)
        out = p.stdout.decode()

        good = t.eq(p.returncode, 0, 'the client comes to its end')
        good &= t.like(out, r'(?m)^\d+ %$', 'it is told progress')
        good &= t.like(out, r'(?m)^%s/media/\S+\.png$' % re.escape(base),
                       'and the picture')
        t.diag('' if good else out)

    finally:
        with open(os.path.join(folder, 'logs', 'nginx.pid')) as f:
            pid = int(f.read())

        os.kill(pid, signal.SIGTERM)
        wait_for(lambda: not alive(pid), what='the end')

    with open(os.path.join(folder, 'logs', 'error.log')) as f:
        t.eq([line for line in f if '[alert]' in line or '[emerg]' in line
              or SANITIZER.search(line)], [], 'no alert in its log')


run(test_client)
