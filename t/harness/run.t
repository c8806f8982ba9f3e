#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# "make run": conf.example as it stands, what is printed works as printed, and
# what is switched off in conf.example is right when it is switched on.

import os
import shutil
import subprocess
import sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from conduit_harness import *


# the base point of P-256 is as good a public key as any

JWK = ('{"kty":"EC","crv":"P-256",'
       '"x":"axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY",'
       '"y":"T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU"}')


def start(folder, port):
    p = subprocess.run(['t/lib/run', folder, BUILD, str(port)], cwd=TOP,
                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, timeout=60)
    return p.returncode, p.stdout.decode()


def master(folder):
    with open(os.path.join(folder, 'logs', 'nginx.pid')) as f:
        return int(f.read())


def commands(text):
    """The indented lines below "Try:", as one script."""

    return '\n'.join(line[2:] for line in text.split('Try:')[1].splitlines()
                     if line.startswith('  '))


def test_run(t):
    folder = new_folder('run')
    port = free_port()
    pids = []

    try:
        code, text = start(folder, port)
        t.eq(code, 0, 'starts')
        t.diag(text if code else '')
        pids.append(master(folder))

        p = subprocess.run(['bash', '-e', '-o', 'pipefail'],
                           input=commands(text).encode(), cwd=folder,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           timeout=60)
        out = p.stdout.decode('utf-8', 'replace')

        good = t.eq(p.returncode, 0, 'what was printed works')
        good &= t.like(out, r'"status":"completed"', 'a task completes')
        good &= t.like(out, r'event: status', 'its events are seen')

        with open(os.path.join(folder, 'picture.png'), 'rb') as f:
            good &= t.eq(f.read(8), b'\x89PNG\r\n\x1a\n', 'a picture came')

        if not good:
            t.diag(out)

        code, again = start(folder, port)
        t.eq(code, 0, 'starts again')
        pids.append(master(folder))
        t.ok(pids[0] != pids[1] and not alive(pids[0]),
             'the first nginx has ended')
        t.eq(commands(again), commands(text), 'the key is still the same')

        with Connection(port) as c:
            t.eq(c.request('GET', '/health').status, 200, 'serves')

    finally:
        for pid in pids:
            if alive(pid):
                os.kill(pid, signal.SIGQUIT)
                wait_for(lambda: not alive(pid), what='the end of nginx')

    with open(os.path.join(folder, 'logs', 'error.log')) as f:
        log = f.read()

    t.eq([line for line in log.splitlines()
          if '[alert]' in line or '[emerg]' in line
          or SANITIZER.search(line)], [], 'no alert in its log')


def switched_on():
    """conf.example with all that is switched off, TLS and peers aside.

    There can be only one store: Redis takes the place of the folder.
    """

    with open(os.path.join(TOP, 'conf.example')) as f:
        text = f.read()

    text = re.sub(r'(?m)^(\s*)#(?=\S|    |$)', r'\1', text)
    text = re.sub(r'(?m)^\s*(listen 8443|ssl_|resolver).*\n', '', text)
    text = re.sub(r'(?m)^\s*conduit_store +store.*\n', '', text)
    text = text.replace('modules/ngx_http_conduit_module.so', MODULE)
    text = text.replace('/etc/nginx/conduit/', '%%DIR%%/conf/')

    return re.sub(r'\b8080\b', '%%PORT%%', text)


def test_switched_on(t):
    conf = switched_on()

    t.like(conf, r'(?m)^    conduit_provider openai_images \{',
           'the blocks are switched on')

    with Nginx(t, conf=conf, start=False) as ng:
        for name in set(re.findall(r'conf/([a-z]+\.key)', conf)):
            ng.write('conf/' + name, 'sk-nothing\n')

        ng.write('conf/keys.json', '{}')
        ng.write('conf/acme.jwk', JWK)
        shutil.copy('/etc/nginx/mime.types', ng.path('conf/mime.types'))

        good, text = ng.check()

        if not t.ok(good, 'conf.example with everything is right'):
            t.diag(text)


def examples(kind):
    with open(os.path.join(TOP, 'README.md')) as f:
        return re.findall(r'(?ms)^```%s\n(.*?)^```' % kind, f.read())


def test_readme(t):
    conf = ('load_module %s; pid logs/nginx.pid; events { }\nhttp {\n'
            'client_body_temp_path temp/a; proxy_temp_path temp/b;\n'
            'fastcgi_temp_path temp/c; uwsgi_temp_path temp/d;\n'
            'scgi_temp_path temp/e;\n%%s\n}\n' % MODULE)
    blocks = [b for b in examples('nginx') if 'load_module' not in b]
    keys = [b for b in examples('json') if '"sha256:' in b]

    t.between(len(blocks), 4, 9, 'README.md has examples of configuration')
    t.eq(len(keys), 1, 'and of a key file')

    for block in blocks:
        inner = re.sub(r'(?s)\Ahttp \{(.*)\}\s*\Z', r'\1', block)
        inner = inner.replace('/etc/nginx/conduit/', '%%DIR%%/conf/')
        inner = inner.replace('8080', '%%PORT%%')

        if 'server {' not in inner:
            inner += ('conduit_key_file keys.json;\nserver {\n'
                      'listen %%PORT%%; location / { conduit_tasks; } }')

        with Nginx(t, conf=conf % inner, start=False) as ng:
            ng.write('conf/videos.key', 'sk-nothing\n')
            ng.write('conf/keys.json',
                     '{}' if 'conduit_key ' in inner else keys[0])
            good, text = ng.check()

            if not t.ok(good, block.split('\n')[0] + ' loads'):
                t.diag(text)


run(test_run, test_switched_on, test_readme)
