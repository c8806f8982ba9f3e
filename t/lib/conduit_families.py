# Copyright (C) Conduit for nginx authors

"""Replies of the providers, as their documentation shows them.

A family knows its routes and how to put one generic step, such as
{"state": "processing", "progress": 50}, into the words of its provider.
Generic states are queued, processing, completed, failed and cancelled.
"""

import base64
import re
import struct
import zlib

from urllib.parse import parse_qs, quote


def png(seed=0, width=8, height=8):
    """A small valid picture, different for different seeds."""

    def chunk(kind, data):
        body = kind + data
        return (struct.pack('>I', len(data)) + body
                + struct.pack('>I', zlib.crc32(body)))

    pixel = bytes(((seed >> 16) & 255, (seed >> 8) & 255, seed & 255))
    rows = (b'\0' + pixel * width) * height

    return (b'\x89PNG\r\n\x1a\n'
            + chunk(b'IHDR', struct.pack('>IIBBBBB', width, height,
                                         8, 2, 0, 0, 0))
            + chunk(b'IDAT', zlib.compress(rows))
            + chunk(b'IEND', b''))


def mp4(size=256):
    """The beginning of a clip; enough to be recognised by its type."""

    head = (b'\0\0\0\x18ftypmp42\0\0\0\0mp42isom'
            + struct.pack('>I', max(size - 24, 8)) + b'mdat')
    return (head + b'\0' * size)[:max(size, len(head))]


def picture(job, index=0, step=None):
    """Bytes of one result, padded behind the picture when asked to."""

    data = png(zlib.crc32(('%s/%d' % (job.id, index)).encode()))
    pad = (step or {}).get('size', 0) - len(data)
    return data + b'\0' * pad if pad > 0 else data


def b64(job, index=0, step=None):
    step = step or {}
    if 'b64' in step:
        return step['b64']
    return base64.b64encode(picture(job, index, step)).decode()


def word(step, words):
    return step.get('word', words.get(step.get('state', 'completed')))


def failure(step, message='Something went wrong', code='internal'):
    error = step.get('error') or {}
    return error.get('message', message), error.get('code', code)


class Family:
    """One provider: routes() lists (method, path regex, operation)."""

    name = ''
    sync = False
    routes = []

    def prompt(self, body):
        return body.get('prompt')

    def model(self, body, match):
        return body.get('model')

    def job_id(self, request, match):
        return match.groupdict().get('id')

    def own_id(self, body):
        """The id that the client has chosen, if it may."""

        return None

    def error(self, status, step):
        """Reply of a failing HTTP status, without a body in the step."""

        message, code = failure(step, 'Error %d' % status,
                                'error_%d' % status)
        return {'error': {'message': message, 'type': 'api_error',
                          'param': None, 'code': code}}

    def submit(self, job, step, request):
        raise NotImplementedError

    def poll(self, job, step, request):
        raise NotImplementedError

    def fetch(self, job, step, request):
        return 404, {}

    def cancel(self, job, step, request):
        return 200, {}

    def urls(self, job, step, request, kind='png'):
        """Result addresses; a step may name its own."""

        if 'urls' in step:
            return step['urls']
        return ['%s/files/%s/%d.%s' % (request.origin, quote(job.id, ''),
                                       i, kind)
                for i in range(step.get('n', job.n))]

    def url(self, job, step, request, kind='png'):
        urls = self.urls(job, step, request, kind)
        return urls[0] if urls else None


class OpenAIImages(Family):
    name = 'openai'
    sync = True
    routes = [('POST', r'/v1/images/generations', 'submit')]

    def submit(self, job, step, request):
        if step.get('state') == 'failed':
            return step.get('status', 400), self.error(400, step)

        model = job.model or ''
        inline = 'b64' in step or 'size' in step or 'gpt-image' in model
        data = []

        for i in range(step.get('n', job.n)):
            if i in step.get('filtered', ()):
                data.append(None)

            elif inline:
                data.append({'b64_json': b64(job, i, step)})

            else:
                data.append({'url': self.urls(job, step, request)[i],
                             'revised_prompt': 'revised'})

        if inline:
            data = [{'b64_json': None} if d is None else d for d in data]

        reply = {'created': 1700000000, 'data': data}
        if inline:
            reply['output_format'] = 'png'
        return 200, reply


class LocalAI(OpenAIImages):
    name = 'localai'
    routes = [('POST', r'/localai/v1/images/generations', 'submit'),
              ('POST', r'/localai/video', 'submit')]


class Videos(Family):
    """The /v1/videos protocol: OpenAI, vLLM-Omni, SGLang."""

    name = 'videos'
    words = {'queued': 'queued', 'processing': 'in_progress',
             'completed': 'completed', 'failed': 'failed',
             'cancelled': 'deleted'}
    routes = [('POST', r'/v1/videos', 'submit'),
              ('GET', r'/v1/videos/(?P<id>[^/]+)', 'poll'),
              ('GET', r'/v1/videos/(?P<id>[^/]+)/content', 'download'),
              ('DELETE', r'/v1/videos/(?P<id>[^/]+)', 'cancel')]

    def document(self, job, step):
        reply = {'id': step.get('id', job.wire_id), 'object': 'video',
                 'model': job.model, 'status': word(step, self.words),
                 'created_at': 1700000000, 'completed_at': None,
                 'expires_at': None, 'seconds': '4', 'size': '720x1280',
                 'error': None}
        if 'progress' in step:
            reply['progress'] = step['progress']
        if step.get('state') == 'failed':
            message, code = failure(step)
            reply['error'] = {'message': message, 'code': code}
        return reply

    def submit(self, job, step, request):
        return 200, self.document(job, dict({'state': 'queued',
                                             'progress': 0}, **step))

    def poll(self, job, step, request):
        return 200, self.document(job, step)

    def cancel(self, job, step, request):
        return 200, {'id': job.wire_id, 'object': 'video.deleted',
                     'deleted': True}


class MiniMax(Family):
    """Version 1: the error lies inside of 200, the result is fetched."""

    name = 'minimax'
    words = {'queued': 'Queueing', 'processing': 'Processing',
             'completed': 'Success', 'failed': 'Fail',
             'cancelled': 'Fail'}
    routes = [('POST', r'/v1/video_generation', 'submit'),
              ('GET', r'/v1/query/video_generation', 'poll'),
              ('GET', r'/v1/files/retrieve', 'fetch')]

    def job_id(self, request, match):
        query = parse_qs(request.query)
        ids = query.get('task_id') or query.get('file_id') or [None]
        return ids[0] and re.sub(r'^file-', '', ids[0])

    def base(self, step):
        error = step.get('error')
        if error is None:
            return {'status_code': 0, 'status_msg': 'success'}
        return {'status_code': error.get('code', 1000),
                'status_msg': error.get('message', 'unknown error')}

    def error(self, status, step):
        return {'base_resp': {'status_code': 1000,
                              'status_msg': 'HTTP %d' % status}}

    def submit(self, job, step, request):
        base = self.base(step)
        if base['status_code'] != 0:
            return 200, {'task_id': '', 'base_resp': base}
        return 200, {'task_id': step.get('id', job.wire_id),
                     'base_resp': base}

    def poll(self, job, step, request):
        reply = {'task_id': job.wire_id, 'status': word(step, self.words),
                 'base_resp': self.base(step)}
        if step.get('state', 'completed') == 'completed':
            reply.update({'file_id': step.get('file_id',
                                              'file-%s' % job.id),
                          'video_width': 1920, 'video_height': 1080})
        return 200, reply

    def fetch(self, job, step, request):
        url = self.url(job, step, request, 'mp4')
        return 200, {'file': {'file_id': 'file-%s' % job.id,
                              'bytes': 5896337, 'filename': 'output.mp4',
                              'purpose': 'video_generation',
                              'created_at': 1700000000,
                              'download_url': url},
                     'base_resp': self.base(step)}


class MiniMaxImage(MiniMax):
    name = 'minimax-image'
    sync = True
    routes = [('POST', r'/v1/image_generation', 'submit')]

    def submit(self, job, step, request):
        base = self.base(step)
        if base['status_code'] != 0:
            return 200, {'id': '', 'base_resp': base}
        return 200, {'id': job.wire_id,
                     'data': {'image_urls': self.urls(job, step, request)},
                     'metadata': {'success_count': str(job.n),
                                  'failed_count': '0'},
                     'base_resp': base}


class Replicate(Family):
    name = 'replicate'
    words = {'queued': 'starting', 'processing': 'processing',
             'completed': 'succeeded', 'failed': 'failed',
             'cancelled': 'canceled'}
    routes = [('POST', r'/v1/models/(?P<model>[^/]+/[^/]+)/predictions',
               'submit'),
              ('GET', r'/v1/predictions/(?P<id>[^/]+)', 'poll'),
              ('POST', r'/v1/predictions/(?P<id>[^/]+)/cancel', 'cancel')]

    def prompt(self, body):
        return (body.get('input') or {}).get('prompt')

    def model(self, body, match):
        return match.group('model')

    def error(self, status, step):
        message, _ = failure(step, 'Request failed')
        return {'title': 'Error', 'detail': message, 'status': status}

    def document(self, job, step, request):
        state = step.get('state', 'completed')
        base = '%s/v1/predictions/%s' % (request.origin, job.id)
        reply = {'id': job.wire_id, 'model': job.model, 'version': 'hidden',
                 'input': {'prompt': job.prompt}, 'output': None,
                 'logs': '', 'error': None,
                 'status': word(step, self.words),
                 'created_at': '2026-01-01T00:00:00.000Z',
                 'urls': {'get': base, 'cancel': base + '/cancel',
                          'web': base + '/web'}}
        if 'progress' in step:
            reply['logs'] = ('Using seed: 4\n  %3d%%|###   | 1/9 [00:01]\n'
                             % step['progress'])
        if state == 'completed':
            urls = self.urls(job, step, request)
            reply['output'] = urls[0] if step.get('single') else urls
            reply['metrics'] = {'predict_time': 1.5}
        if state == 'failed':
            reply['error'], _ = failure(step)
        reply.update(step.get('merge', {}))
        return reply

    def submit(self, job, step, request):
        step = dict({'state': 'queued'}, **step)
        return step.get('status', 201), self.document(job, step, request)

    def poll(self, job, step, request):
        return 200, self.document(job, step, request)

    def cancel(self, job, step, request):
        return 200, self.document(job, {'state': 'cancelled'}, request)


class Fal(Family):
    """The queue answers 202 until the end; failures show at the fetch."""

    name = 'fal'
    words = {'queued': 'IN_QUEUE', 'processing': 'IN_PROGRESS',
             'completed': 'COMPLETED', 'failed': 'COMPLETED',
             'cancelled': 'COMPLETED'}
    routes = [('POST', r'/(?P<model>fal-ai/[^/]+)', 'submit'),
              ('GET', r'/fal-ai/[^/]+/requests/(?P<id>[^/]+)/status',
               'poll'),
              ('GET', r'/fal-ai/[^/]+/requests/(?P<id>[^/]+)', 'fetch'),
              ('PUT', r'/fal-ai/[^/]+/requests/(?P<id>[^/]+)/cancel',
               'cancel')]

    def model(self, body, match):
        return match.group('model')

    def error(self, status, step):
        message, code = failure(step)
        return {'detail': [{'loc': ['body', 'prompt'], 'msg': message,
                            'type': code}]}

    def document(self, job, step, request):
        base = '%s/%s/requests/%s' % (request.origin, job.model, job.id)
        return {'request_id': job.wire_id,
                'status': word(step, self.words),
                'response_url': base, 'status_url': base + '/status',
                'cancel_url': base + '/cancel'}

    def submit(self, job, step, request):
        reply = self.document(job, dict({'state': 'queued'}, **step),
                              request)
        reply['queue_position'] = 0
        reply.update(step.get('merge', {}))
        return 200, reply

    def poll(self, job, step, request):
        state = step.get('state', 'completed')
        reply = self.document(job, step, request)
        reply['logs'] = [{'message': 'step', 'level': 'INFO',
                          'timestamp': '2026-01-01T00:00:00Z'}]
        return 202 if state in ('queued', 'processing') else 200, reply

    def fetch(self, job, step, request):
        if job.last.get('state') == 'failed':
            return 422, self.error(422, job.last)
        return 200, {'images': [{'url': url, 'content_type': 'image/png'}
                                for url in self.urls(job, step, request)],
                     'seed': 1}

    def cancel(self, job, step, request):
        return 202, {'status': 'CANCELLATION_REQUESTED'}


class BFL(Family):
    name = 'bfl'
    words = {'queued': 'Pending', 'processing': 'Pending',
             'completed': 'Ready', 'failed': 'Error',
             'cancelled': 'Task not found'}
    routes = [('POST', r'/v1/(?P<model>flux-[^/]+)', 'submit'),
              ('GET', r'/v1/get_result', 'poll')]

    def model(self, body, match):
        return match.group('model')

    def job_id(self, request, match):
        return (parse_qs(request.query).get('id') or [None])[0]

    def error(self, status, step):
        return {'detail': failure(step)[0]}

    def submit(self, job, step, request):
        return 200, {'id': job.wire_id, 'polling_url':
                     '%s/v1/get_result?id=%s' % (request.origin, job.id)}

    def poll(self, job, step, request):
        reply = {'id': job.wire_id, 'status': word(step, self.words),
                 'result': None, 'progress': None, 'details': None}
        if 'progress' in step:
            reply['progress'] = step['progress'] / 100
        if step.get('state', 'completed') == 'completed':
            reply['result'] = {
                'sample': self.url(job, step, request)}
        return 200, reply


class Runway(Family):
    name = 'runway'
    words = {'queued': 'PENDING', 'processing': 'RUNNING',
             'completed': 'SUCCEEDED', 'failed': 'FAILED',
             'cancelled': 'CANCELLED'}
    routes = [('POST', r'/v1/text_to_video', 'submit'),
              ('GET', r'/v1/tasks/(?P<id>[^/]+)', 'poll'),
              ('DELETE', r'/v1/tasks/(?P<id>[^/]+)', 'cancel')]

    def prompt(self, body):
        return body.get('promptText')

    def error(self, status, step):
        return {'error': failure(step)[0]}

    def submit(self, job, step, request):
        return 200, {'id': job.wire_id}

    def poll(self, job, step, request):
        reply = {'id': job.wire_id, 'status': word(step, self.words),
                 'createdAt': '2026-01-01T00:00:00.000Z'}
        if 'progress' in step:
            reply['progress'] = step['progress'] / 100
        if step.get('state', 'completed') == 'completed':
            reply['output'] = self.urls(job, step, request, 'mp4')
        if step.get('state') == 'failed':
            reply['failure'], reply['failureCode'] = failure(step)
        return 200, reply


class Luma(Family):
    name = 'luma'
    words = {'queued': 'queued', 'processing': 'dreaming',
             'completed': 'completed', 'failed': 'failed',
             'cancelled': 'failed'}
    base = r'/dream-machine/v1/generations'
    routes = [('POST', base, 'submit'),
              ('GET', base + r'/(?P<id>[^/]+)', 'poll'),
              ('DELETE', base + r'/(?P<id>[^/]+)', 'cancel')]

    def error(self, status, step):
        return {'detail': failure(step)[0]}

    def document(self, job, step, request):
        reply = {'id': job.wire_id, 'state': word(step, self.words),
                 'failure_reason': None, 'assets': None}
        if step.get('state', 'completed') == 'completed':
            reply['assets'] = {
                'video': self.url(job, step, request, 'mp4')}
        if step.get('state') == 'failed':
            reply['failure_reason'] = failure(step)[0]
        return reply

    def submit(self, job, step, request):
        return 201, self.document(job, dict({'state': 'queued'}, **step),
                                  request)

    def poll(self, job, step, request):
        return 200, self.document(job, step, request)


class Veo(Family):
    """Gemini API: the id has slashes, the download redirects."""

    name = 'veo'
    routes = [('POST', r'/v1beta/models/(?P<model>[^/:]+)'
               r':predictLongRunning', 'submit'),
              ('GET', r'/v1beta/models/[^/]+/operations/(?P<id>[^/]+)',
               'poll')]

    def prompt(self, body):
        instances = body.get('instances') or [{}]
        return instances[0].get('prompt')

    def model(self, body, match):
        return match.group('model')

    def name_of(self, job):
        return 'models/%s/operations/%s' % (job.model, job.id)

    def submit(self, job, step, request):
        return 200, {'name': self.name_of(job)}

    def poll(self, job, step, request):
        state = step.get('state', 'completed')
        reply = {'name': self.name_of(job),
                 'done': state not in ('queued', 'processing')}
        if state == 'completed':
            uri = '%s/download/%s' % (request.origin, job.id)
            reply['response'] = {'generateVideoResponse': {
                'generatedSamples': [{'video': {'uri': uri}}]}}
        if state == 'failed':
            message, code = failure(step)
            reply['error'] = {'code': code, 'message': message}
        if step.get('blocked'):
            reply['response'] = {'generateVideoResponse': {
                'raiMediaFilteredCount': 1,
                'raiMediaFilteredReasons': ['blocked by policy']}}
        return 200, reply


class ComfyUI(Family):
    name = 'comfy'
    routes = [('POST', r'/prompt', 'submit'),
              ('GET', r'/history/(?P<id>[^/]+)', 'poll'),
              ('POST', r'/queue', 'cancel'),
              ('POST', r'/interrupt', 'cancel')]

    def prompt(self, body):
        for node in (body.get('prompt') or {}).values():
            text = (node.get('inputs') or {}).get('text')
            if text is not None:
                return text
        return None

    def job_id(self, request, match):
        if request.method == 'GET':
            return match.group('id')
        body = request.json() or {}
        ids = body.get('delete') or [body.get('prompt_id')]
        return ids[0]

    def submit(self, job, step, request):
        return 200, {'prompt_id': job.wire_id, 'number': 1,
                     'node_errors': {}}

    def poll(self, job, step, request):
        state = step.get('state', 'completed')
        if state in ('queued', 'processing'):
            return 200, {}
        images = [{'filename': '%s_%d.png' % (job.id, i), 'subfolder': '',
                   'type': 'output'} for i in range(step.get('n', job.n))]
        good = state == 'completed'
        message = [['execution_error',
                    {'exception_message': failure(step)[0]}]]
        return 200, {job.wire_id: {
            'outputs': {'9': {'images': images}} if good else {},
            'status': {'status_str': 'success' if good else 'error',
                       'completed': good,
                       'messages': [] if good else message}}}


class Automatic1111(Family):
    name = 'a1111'
    sync = True
    routes = [('POST', r'/sdapi/v1/txt2img', 'submit'),
              ('POST', r'/internal/progress', 'side'),
              ('POST', r'/sdapi/v1/interrupt', 'cancel')]

    def own_id(self, body):
        return body.get('force_task_id')

    def job_id(self, request, match):
        return (request.json() or {}).get('id_task')

    def error(self, status, step):
        return {'detail': failure(step)[0]}

    def submit(self, job, step, request):
        return 200, {'images': [b64(job, i, step)
                                for i in range(step.get('n', job.n))],
                     'parameters': {}, 'info': '{}'}

    def side(self, job, step, request):
        return 200, {'active': True, 'queued': False, 'completed': False,
                     'progress': step.get('progress', 50) / 100,
                     'eta': 1.0}


FAMILIES = [cls() for cls in (OpenAIImages, LocalAI, Videos, MiniMax,
                              MiniMaxImage, Replicate, Fal, BFL, Runway,
                              Luma, Veo, ComfyUI, Automatic1111)]


def route(method, path):
    """Finds (family, operation, match) of a request, or None."""

    for family in FAMILIES:
        for verb, pattern, operation in family.routes:
            if verb != method:
                continue
            match = re.fullmatch(pattern, path)
            if match:
                return family, operation, match
    return None
