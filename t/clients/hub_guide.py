import asyncio
import json
from signalrcore.hub_connection_builder import HubConnectionBuilder
import logging

class ConduitRealtimeClient:
    def __init__(self, virtual_key):
        self.virtual_key = virtual_key
        self.connection = None
        self.active_tasks = set()
        
    async def connect(self, hub_url):
        # Build connection with authentication
        self.connection = HubConnectionBuilder()\
            .with_url(hub_url, options={
                "headers": {
                    "Authorization": f"Bearer {self.virtual_key}"
                }
            })\
            .configure_logging(logging.INFO)\
            .with_automatic_reconnect({
                "type": "raw",
                "keep_alive_interval": 10,
                "reconnect_interval": 5,
                "max_attempts": 5
            })\
            .build()
        
        # Register event handlers
        self.connection.on("TaskProgress", self._on_progress)
        self.connection.on("TaskCompleted", self._on_completed)
        self.connection.on("TaskFailed", self._on_failed)
        
        # Start connection
        self.connection.start()
        
    def _on_progress(self, args):
        task_id, progress = args
        print(f"Task {task_id}: {progress}% complete")
        # Update your UI or state
        
    def _on_completed(self, args):
        task_id, result = args
        print(f"Task {task_id} completed:", result)
        self.active_tasks.discard(task_id)
        # Handle completion
        
    def _on_failed(self, args):
        task_id, error = args
        print(f"Task {task_id} failed:", error)
        self.active_tasks.discard(task_id)
        # Handle failure
        
    async def subscribe_to_task(self, task_id):
        self.connection.send("SubscribeToTask", [task_id])
        self.active_tasks.add(task_id)
        
    async def unsubscribe_from_task(self, task_id):
        self.connection.send("UnsubscribeFromTask", [task_id])
        self.active_tasks.discard(task_id)
        
    def disconnect(self):
        if self.connection:
            self.connection.stop()

# Usage
async def main():
    client = ConduitRealtimeClient("condt_your_virtual_key")
    
    # Connect to video generation hub
    await client.connect("wss://api.conduit.im/hubs/video-generation")
    
    # Subscribe to a task
    await client.subscribe_to_task("550e8400-e29b-41d4-a716-446655440000")
    
    # Keep connection alive
    try:
        await asyncio.Event().wait()
    except KeyboardInterrupt:
        client.disconnect()

if __name__ == "__main__":
    asyncio.run(main())
