// JavaScript/Node.js
async function pollForCompletion(taskId, virtualKey) {
    const maxAttempts = 60; // 5 minutes with 5-second intervals
    let attempts = 0;

    while (attempts < maxAttempts) {
        const response = await fetch(`https://api.conduit.im/v1/videos/generations/${taskId}`, {
            headers: {
                'Authorization': `Bearer ${virtualKey}`
            }
        });

        const result = await response.json();

        if (result.status === 'completed') {
            return result;
        } else if (result.status === 'failed' || result.status === 'cancelled') {
            throw new Error(result.error || 'Task failed');
        }

        // Wait before next poll
        await new Promise(resolve => setTimeout(resolve, 5000));
        attempts++;
    }

    throw new Error('Polling timeout');
}
