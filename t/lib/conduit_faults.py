# Copyright (C) Conduit for nginx authors

"""Ready scripts of the scripted provider.

A prompt that holds "script:NAME" is played by the script NAME: for each
operation (submit, poll, fetch, download, result, cancel, side) a list of
steps, of which the last is repeated.  Members of a step:

  state, progress, error, word, id, n, urls, b64, size, filtered, merge
                what the family puts into the provider's words
  status, headers, json, text
                a reply instead of the family's own
  raw           a text that is sent as it is, then the connection ends
  delay         seconds before the reply
  hold          name of an event to wait for before the reply
  until         name of an event: the step is repeated until it is set
  times         how often the step is repeated
  cut           no (whole) reply: "now", "reset", "head" or a number of
                body bytes after which the connection is closed
  truncate      number of body bytes sent as if they were the whole body
  drip          [bytes, seconds]: body in small pieces
  close         the connection is closed after the reply
"""

RUNNING = {'state': 'processing', 'progress': 50}
QUEUED = {'state': 'queued', 'progress': 0}
DONE = {'state': 'completed', 'progress': 100}

OK = [QUEUED, RUNNING, DONE]


def http(status, **more):
    return dict({'status': status}, **more)


def failed(code, message='Something went wrong'):
    return {'state': 'failed', 'error': {'code': code, 'message': message}}


SCRIPTS = {
    'ok': {'poll': OK},
    'quick': {'poll': [DONE]},
    'steps': {'poll': [QUEUED] + [{'state': 'processing', 'progress': p}
                                  for p in (10, 30, 60, 90)] + [DONE]},
    'forever': {'poll': [RUNNING]},
    'held': {'poll': [dict(RUNNING, until='go'), DONE],
             'submit': [{}]},
    'held-submit': {'submit': [{'hold': 'go'}], 'poll': [DONE]},
    'failed': {'submit': [{}],
               'poll': [RUNNING, failed('server_error', 'It broke')]},
    'policy': {'submit': [failed('content_policy_violation',
                                 'Your request was rejected')],
               'poll': [failed('content_policy_violation',
                               'Your request was rejected')]},
    'upstream-cancelled': {'poll': [RUNNING, {'state': 'cancelled'}]},

    # the submit call
    'slow-submit': {'submit': [{'delay': 1.2}], 'poll': [DONE]},
    'hang-submit': {'submit': [{'hold': 'never'}]},
    'drip-submit': {'submit': [{'drip': [4, 0.01]}], 'poll': [DONE]},
    'lost': {'submit': [{'cut': 'now'}], 'poll': [DONE]},
    'lost-once': {'submit': [{'cut': 'now'}, {}], 'poll': [DONE]},
    'reset': {'submit': [{'cut': 'reset'}], 'poll': [DONE]},
    'cut-head': {'submit': [{'cut': 'head'}], 'poll': [DONE]},
    'cut-body': {'submit': [{'cut': 10}], 'poll': [DONE]},
    '429-seconds': {'submit': [http(429, headers={'Retry-After': '1'}), {}],
                    'poll': [DONE]},
    '429-ms': {'submit': [http(429, headers={'retry-after-ms': '300'}), {}],
               'poll': [DONE]},
    '429-long': {'submit': [http(429, headers={'Retry-After': '7200'})]},
    '429-always': {'submit': [http(429)]},
    '503-once': {'submit': [http(503), {}], 'poll': [DONE]},
    '503-always': {'submit': [http(503)]},
    '500-once': {'submit': [http(500), {}], 'poll': [DONE]},
    'submit-garbage': {'submit': [{'text': 'not json at all'}]},
    'submit-empty': {'submit': [{'json': {}}]},
    'submit-truncated': {'submit': [{'truncate': 12}]},
    'submit-redirect': {'submit': [http(302, headers={'Location': '/x'})]},
    'submit-huge': {'submit': [{'text': ' ' * 1000, 'pad': 40 << 20}]},
    'error-200': {'submit': [{'error': {'code': 1026, 'message':
                                        'input new_sensitive'}}]},
    'error-200-retry': {'submit': [{'error': {'code': 1002, 'message':
                                              'rate limit'}}, {}],
                        'poll': [DONE]},
    'secret-echo': {'submit': [http(401, echo='authorization')]},

    # the poll
    'unknown-status': {'poll': [{'state': 'processing', 'word': 'mystery'},
                                DONE]},
    'flap': {'poll': [RUNNING, QUEUED, RUNNING, QUEUED, DONE]},
    'regress': {'poll': [{'state': 'processing', 'progress': p}
                         for p in (60, 20, 70, 100)] + [DONE]},
    '202-404-200': {'poll': [http(202, json={}), http(404, json={}), DONE]},
    'poll-404': {'poll': [http(404)]},
    'poll-400': {'poll': [http(400)]},
    'poll-500': {'poll': [http(500), http(502), DONE]},
    'poll-429': {'poll': [http(429, headers={'Retry-After': '1'}), DONE]},
    'poll-lost': {'poll': [{'cut': 'now'}, {'cut': 'reset'}, DONE]},
    'poll-empty': {'poll': [{'json': {}}, {'json': {}}, DONE]},
    'poll-truncated': {'poll': [{'truncate': 9}, {'truncate': 30}, DONE]},
    'poll-garbage': {'poll': [{'text': '<html>oops</html>'}]},
    'poll-huge': {'poll': [{'text': ' ', 'pad': 2 << 20}]},
    'poll-hang-once': {'poll': [{'hold': 'never'}, DONE]},
    'poll-redirect': {'poll': [http(302, headers={'Location': '/x'})]},
    'case': {'poll': [{'state': 'processing', 'word': 'IN_PROGRESS'},
                      {'state': 'completed', 'word': 'Completed'}]},
    'big-id': {'submit': [{'id': 9007199254740993}], 'poll': [DONE]},
    'slash-id': {'submit': [{'id': 'models/veo/operations/a b?c'}],
                 'poll': [DONE]},

    # the result
    'empty-result': {'submit': [{'n': 0}],
                     'poll': [dict(DONE, urls=[], n=0)],
                     'fetch': [{'urls': [''], 'json': {}}]},
    'filtered': {'submit': [{'n': 4, 'filtered': [2]}]},
    'b64': {'submit': [{'size': 100}]},
    'b64-5mb': {'submit': [{'size': 5 << 20}]},
    'b64-bad': {'submit': [{'b64': '!!!! not base64 ????'}]},
    'b64-empty': {'submit': [{'b64': ''}]},
    'bad-url': {'submit': [{'urls': ['javascript:alert(1)']}],
                'poll': [dict(DONE, urls=['javascript:alert(1)'])]},
    'long-url': {'submit': [{'urls': ['http://127.0.0.1/' + 'x' * 9000]}]},
    'fetch-500': {'poll': [DONE], 'fetch': [http(500), {}]},
    'fetch-lost': {'poll': [DONE], 'fetch': [{'cut': 20}, {}]},
    'download-drip': {'poll': [DONE],
                      'download': [{'size': 100 << 20,
                                    'drip': [65536, 0.05]}]},
    'download-big': {'poll': [DONE], 'download': [{'size': 100 << 20}]},
    'download-1mb': {'poll': [DONE], 'download': [{'size': 1 << 20}]},
    'download-empty': {'poll': [DONE], 'download': [{'size': 0}]},
    'download-cut': {'poll': [DONE], 'download': [{'cut': 100}, {}]},
    'download-500': {'poll': [DONE], 'download': [http(500), {}]},
    'download-404': {'poll': [DONE], 'download': [http(404)]},
    'download-private': {'poll': [DONE], 'download': [
        http(302, headers={'Location': 'http://10.0.0.1/secret'})]},
    'download-metadata': {'poll': [DONE], 'download': [
        http(302, headers={'Location': 'http://169.254.169.254/latest'})]},
    'download-redirect': {'poll': [DONE], 'download': [
        http(302, headers={'Location': '${origin}/files/moved/0.mp4'})]},
    'result-big': {'result': [{'size': 100 << 20}]},
    'result-404': {'result': [http(404)]},

    # the cancel
    'cancel-500': {'poll': [RUNNING], 'cancel': [http(500)]},
    'cancel-slow': {'poll': [RUNNING], 'cancel': [{'delay': 1}]},
}
