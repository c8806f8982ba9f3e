#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# Hubs in a browser: a page of another origin, with the bundle that npm's
# package of SignalR has for browsers.

import http.server
import os
import queue
import sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from conduit_api import *
from conduit_clients import *
from conduit_hub import IMAGE_HUB

HELD = GPU.replace('lease 1s', 'lease 60s')

FLAGS = ['--headless=new', '--no-sandbox', '--disable-gpu', '--no-first-run',
         '--disable-dev-shm-usage', '--disable-background-networking',
         '--disable-component-update', '--disable-sync',
         '--disable-extensions', '--no-default-browser-check',
         '--ignore-certificate-errors', '--password-store=basic',
         '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1']


class Pages(http.server.ThreadingHTTPServer):
    """Serves the page and the bundles, gives out jobs, hears what is said."""

    daemon_threads = True

    def __init__(self, modules):
        self.modules = modules
        self.jobs = queue.Queue()
        self.heard = queue.Queue()
        self.port = free_port()
        super().__init__((HOST, self.port), Page)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, *args):
        """The browser drops connections as it likes."""

    @property
    def origin(self):
        return 'http://%s:%d' % (HOST, self.port)


class Page(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def log_message(self, *args):
        pass

    def answer(self, body=b'', kind='text/plain', status=200):
        self.send_response(status)
        self.send_header('Content-Type', kind)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path == '/job':
            job = self.server.jobs.get()
            self.answer(json.dumps(job).encode(), 'application/json')
            return

        try:
            if self.path == '/':
                name, kind = os.path.join(CLIENTS, 'hub_browser.html'), 'html'
            else:
                name = self.server.modules + '/node_modules' + self.path
                kind = 'javascript'

            with open(name, 'rb') as f:
                self.answer(f.read(), 'text/' + kind)

        except FileNotFoundError:
            self.answer(status=404)

    def do_POST(self):
        data = self.rfile.read(int(self.headers['content-length']))
        self.answer()
        self.server.heard.put(json.loads(data))


# for what the page says next, in seconds

WAIT = DEADLINE * 4 * PATIENCE


class Browser:
    """Chromium on the first page; what its page says is in said."""

    def __init__(self, api, pages):
        self.pages = pages
        self.said = []
        self.log = open(api.path('logs/browser.log'), 'wb')
        self.process = subprocess.Popen(
            ['chromium'] + FLAGS + ['--user-data-dir=' + api.path('browser'),
                                    pages.origin + '/'],
            env=dict(os.environ, HOME=api.path('home')),
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
            start_new_session=True)
        self.until('loaded')

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        wait_for(lambda: not group_pids(self.process.pid))
        self.log.close()

    def until(self, *words):
        while self.said[-1:] == [] or self.said[-1][:len(words)] != \
                list(words):
            self.said.append(self.pages.heard.get(timeout=WAIT))

        return self.said[-1]

    def do(self, what, **job):
        """Gives out a job."""

        self.said = []
        self.pages.jobs.put(dict(job, do=what))

    def hear(self, what, **job):
        """The same, and what the page says of it."""

        self.do(what, **job)
        self.said.append(self.pages.heard.get(timeout=WAIT))
        return self.said[-1]


def follow(t, api, browser, url, transport, protocol, reload=False):
    task, other = [api.alice.image('s', 'gpu-image')['task_id']
                   for _ in range(2)]
    api.robot.worker('claim', {})
    name = '%s, %s, %s: ' % (url.partition(':')[0], transport, protocol)

    browser.do('follow', url=url, key=api.alice.key, transport=transport,
               protocol=protocol, task=task, other=other)
    browser.until('subscribed')
    api.robot.worker('tasks/%s/progress' % task, {'progress': 50})
    browser.until('TaskProgress', task, 50)
    t.ok(True, name + 'progress')

    if reload:
        api.reload(wait=False)
        browser.until('reconnected')
        t.ok(True, name + 'came again after a reload')

    r = api.robot.worker('tasks/%s/complete' % task, {
        'data': [{'url': 'https://example.com/a.png'}]})
    t.eq(r.status, 200, name + 'complete')

    browser.until('stopped')
    said = browser.said
    t.eq([x[2]['imageUrl'] for x in said if x[0] == 'TaskCompleted'],
         ['https://example.com/a.png'], name + 'one end')
    t.ok(['CancelTask', 'cancelled'] in said, name + 'cancelled')
    t.ok(['TaskFailed', other, 'Task was cancelled'] in said, name + 'told')
    t.ok(any(x[0] == 'error' and "Unknown hub method 'Nonsense'" in x[1]
             for x in said), name + 'an error')


def offered(api):
    reply = api.alice.post(IMAGE_HUB + '/negotiate')
    return [(x['transport'], {'Text': 'json', 'Binary': 'messagepack'}[f])
            for x in reply.json()['availableTransports']
            for f in x['transferFormats']]


def asked(browser, url, key, **more):
    return browser.hear('ask', url=url + '/negotiate?negotiateVersion=1',
                        method='POST', headers=dict({
                            'Authorization': 'Bearer ' + key,
                            'X-Requested-With': 'XMLHttpRequest',
                            'X-SignalR-User-Agent': 'Microsoft SignalR/10.0',
                        }, **more))


def test_browser(t):
    modules = npm()
    first, second = Pages(modules), Pages(modules)

    with Api(t, gpu=HELD, workers=4, tls=True,
             http='conduit_cors http://app.example.com %s;' % first.origin,
             server='location /hubs/open { conduit_cors *; '
             'conduit_hub image; }\n'
             'location /hubs/closed { conduit_cors off; '
             'conduit_hub image; }') as api, Browser(api, first) as browser:

        url = 'http://127.0.0.1:%d%s' % (api.port(), IMAGE_HUB)

        for transport, protocol in offered(api):
            follow(t, api, browser, url, transport, protocol)

        follow(t, api, browser, url, 'WebSockets', 'json', True)
        follow(t, api, browser, 'https://127.0.0.1:%d%s'
               % (api.port(1), IMAGE_HUB), 'WebSockets', 'json')

        t.ok('OPTIONS %s/negotiate' % IMAGE_HUB in api.access_log(),
             'there were preflights')

        key = api.alice.key
        t.eq(asked(browser, url, key)[:2], ['status', 200], 'asked')
        t.eq(asked(browser, url, 'nobody')[:2], ['status', 401],
             'a refusal that the page may read')
        t.eq(browser.hear('start', url=url, key='nobody',
                          transport='WebSockets')[0], 'refused',
             'a bad key')
        t.eq(browser.hear('start', url=url, key=key, skip=True,
                          transport='WebSockets')[0], 'started',
             'without negotiation, the key in the query')

        closed = url.replace(IMAGE_HUB, '/hubs/closed')
        t.eq(asked(browser, closed, key)[0], 'blocked', 'off')
        t.eq(browser.hear('start', url=closed, key=key, skip=True,
                          transport='WebSockets')[0], 'refused',
             'and without negotiation')

        # the same from a page that is not in the list

        browser.do('go', url=second.origin + '/')
        browser.pages = second
        browser.until('loaded', second.origin)

        t.eq(asked(browser, url, key)[0], 'blocked', 'another origin')

        for skip in False, True:
            t.eq(browser.hear('start', url=url, key=key, skip=skip,
                              transport='WebSockets')[0], 'refused',
                 'refused%s' % (', without negotiation' if skip else ''))

        for skip in False, True:
            t.eq(browser.hear('start', skip=skip, key=key,
                              url=url.replace(IMAGE_HUB, '/hubs/open'),
                              transport='WebSockets')[0], 'started',
                 'where any may')


if not shutil.which('chromium'):
    skip_all('skipped: there is no chromium')

run(test_browser)
