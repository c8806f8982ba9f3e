const express = require('express');
const crypto = require('crypto');

app.post('/webhooks/conduit', express.json(), async (req, res) => {
    // Verify webhook authenticity
    const expectedAuth = `Bearer ${process.env.WEBHOOK_SECRET}`;
    if (req.headers.authorization !== expectedAuth) {
        return res.status(401).send('Unauthorized');
    }
    
    // Process webhook asynchronously
    setImmediate(async () => {
        try {
            await processWebhook(req.body);
        } catch (error) {
            console.error('Webhook processing failed:', error);
        }
    });
    
    // Respond immediately
    res.status(200).send('OK');
});

async function processWebhook(payload) {
    const { task_id, status, webhook_type } = payload;
    
    switch (status) {
        case 'completed':
            if (webhook_type === 'image_generation_completed') {
                await handleImageCompleted(payload);
            } else if (webhook_type === 'video_generation_completed') {
                await handleVideoCompleted(payload);
            }
            break;
        
        case 'failed':
            await handleTaskFailed(payload);
            break;
        
        case 'processing':
            await updateProgressUI(payload);
            break;
    }
}
