#!/usr/bin/env python3

# Copyright (C) Conduit for nginx authors

# The guide's samples for hubs as they are printed, with another base URL.

import os
import sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from conduit_api import *
from conduit_clients import *

HELD = GPU.replace('lease 1s', 'lease 60s')

# what the sample uses and does not have

NODE = '''
ConduitRealtimeClient.prototype.activeTasks = new Set();
ConduitRealtimeClient.prototype.resubscribeToActiveTasks = function () {
    this.activeTasks.forEach(id => this.subscribeToTask(id));
};
const updateProgressBar = () => {};
const displayImage = url => console.log(`shown: ${url}`);
const showError = text => console.log(`shown: ${text}`);

'''


class Sample:
    """A sample that follows a task; what it prints is read line by line."""

    def __init__(self, api, command, name, task, base, edit=lambda text: text):
        with open(os.path.join(CLIENTS, name)) as f:
            text = f.read()

        for old, new in (
                ('wss://api.conduit.im', base),
                ('condt_your_virtual_key', api.secrets['alice']),
                ('550e8400-e29b-41d4-a716-446655440000', task)):
            if old not in text:
                raise AssertionError('no %s in %s' % (old, name))
            text = text.replace(old, new)

        os.makedirs(api.path('sample'), exist_ok=True)
        path = api.path('sample/' + name)

        with open(path, 'w') as f:
            f.write(edit(text))

        self.lines = []
        self.process = subprocess.Popen(
            command + [path], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env=dict(os.environ, PYTHONUNBUFFERED='1'),
            start_new_session=True)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.kill()
        self.process.stdout.close()
        self.process.wait()

    def kill(self):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)

        except ProcessLookupError:
            pass

    def until(self, text):
        """Reads up to a line that holds the text; False if none comes."""

        timer = threading.Timer(DEADLINE * 3, self.kill)
        timer.start()

        try:
            for line in self.process.stdout:
                self.lines.append(line.decode())
                if text in self.lines[-1]:
                    return True

        finally:
            timer.cancel()

        for line in self.lines[-5:]:
            print('# ' + line.rstrip(), file=sys.stderr)

        return False


def claimed(api, create):
    task = create['task_id']
    api.robot.worker('claim', {})
    return task


def tell(api, task, progress):
    api.robot.worker('tasks/%s/progress' % task, {'progress': progress})


def javascript(api, task):
    modules = os.path.join(npm(), 'node_modules')
    os.makedirs(api.path('sample'), exist_ok=True)
    link = api.path('sample/node_modules')

    if not os.path.exists(link):
        os.symlink(modules, link)

    # a URL of wss:// is refused by the client itself

    return Sample(api, ['node'], 'hub_guide.mjs', task,
                  'http://127.0.0.1:%d' % api.port(),
                  lambda text: text.replace('// Usage example',
                                            NODE + '// Usage example'))


def python(api, task):
    return Sample(api, [venv()], 'hub_guide.py', task,
                  'ws://127.0.0.1:%d' % api.port())


def test_javascript(t):
    npm()

    with Api(t, gpu=HELD, workers=2) as api:
        task = claimed(api, api.alice.image('s', 'gpu-image'))

        with javascript(api, task) as sample:
            t.ok(sample.until('Connected to SignalR hub'), 'connected')
            t.ok(sample.until('Task %s: 0%% complete' % task), 'subscribed')
            tell(api, task, 42)
            t.ok(sample.until('Task %s: 42%% complete' % task), 'progress')

            api.reload(wait=False)
            t.ok(sample.until('Reconnected:'), 'reconnected')

            api.robot.worker('tasks/%s/complete' % task, {
                'data': [{'url': 'https://example.com/a.png'}]})
            t.ok(sample.until('shown: https://example.com/a.png'), 'shown')

        task = claimed(api, api.alice.image('s', 'gpu-image'))

        with javascript(api, task) as sample:
            t.ok(sample.until('Task %s: 0%% complete' % task), 'another')
            api.alice.cancel(task)
            t.ok(sample.until('shown: Task was cancelled'), 'failed')


def test_python(t):
    venv()

    with Api(t, gpu=HELD, workers=2) as api:
        task = claimed(api, api.alice.video('s', 'gpu-video'))

        with python(api, task) as sample:
            t.ok(sample.until('Task %s: 0%% complete' % task), 'subscribed')
            tell(api, task, 42)
            t.ok(sample.until('Task %s: 42%% complete' % task), 'progress')

            # it does not subscribe again when it comes again

            api.reload(wait=False)
            wait_for(lambda: api.access_log().count(
                'GET /hubs/video-generation?') == 2)

            api.robot.worker('tasks/%s/complete' % task, {
                'data': [{'url': 'https://example.com/a.mp4'}]})
            t.ok(sample.until('Task %s completed:' % task), 'completed')
            t.ok("'videoUrl': 'https://example.com/a.mp4'"
                 in sample.lines[-1], 'its result')

        task = claimed(api, api.alice.video('s', 'gpu-video'))

        with python(api, task) as sample:
            t.ok(sample.until('Task %s: 0%% complete' % task), 'another')
            api.alice.cancel(task)
            t.ok(sample.until('Task %s failed: Task was cancelled' % task),
                 'failed')


run(test_javascript, test_python)
