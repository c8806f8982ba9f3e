# Copyright (C) Conduit for nginx authors

"""What the package of PyPI makes of webhooks: a JSON array of {headers, body,
secret} on stdin, of {value} or {error} on stdout."""

import json
import sys

from standardwebhooks import Webhook

results = []

for hook in json.load(sys.stdin):
    try:
        results.append({'value': Webhook(hook['secret']).verify(
            hook['body'], hook['headers'])})

    except Exception as error:
        results.append({'error': type(error).__name__})

print(json.dumps(results))
