# Python
import time
import requests

def poll_for_completion(task_id, virtual_key):
    max_attempts = 60  # 5 minutes with 5-second intervals
    attempts = 0

    while attempts < max_attempts:
        response = requests.get(
            f'https://api.conduit.im/v1/videos/generations/{task_id}',
            headers={'Authorization': f'Bearer {virtual_key}'}
        )

        result = response.json()

        if result['status'] == 'completed':
            return result
        elif result['status'] in ['failed', 'cancelled']:
            raise Exception(result.get('error', 'Task failed'))

        time.sleep(5)
        attempts += 1

    raise Exception('Polling timeout')
