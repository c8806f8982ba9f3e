from fastapi import FastAPI, Header, HTTPException, BackgroundTasks
from pydantic import BaseModel
import os

app = FastAPI()

class WebhookPayload(BaseModel):
    task_id: str
    status: str
    webhook_type: str
    timestamp: str
    # ... other fields

@app.post("/webhooks/conduit")
async def handle_webhook(
    payload: WebhookPayload,
    background_tasks: BackgroundTasks,
    authorization: str = Header(None)
):
    # Verify webhook authenticity
    expected_auth = f"Bearer {os.environ['WEBHOOK_SECRET']}"
    if authorization != expected_auth:
        raise HTTPException(status_code=401, detail="Unauthorized")
    
    # Process asynchronously
    background_tasks.add_task(process_webhook, payload)
    
    # Respond immediately
    return {"status": "accepted"}

async def process_webhook(payload: WebhookPayload):
    if payload.status == "completed":
        if payload.webhook_type == "image_generation_completed":
            await handle_image_completed(payload)
        elif payload.webhook_type == "video_generation_completed":
            await handle_video_completed(payload)
    elif payload.status == "failed":
        await handle_task_failed(payload)
    elif payload.status == "processing":
        await update_progress_ui(payload)
