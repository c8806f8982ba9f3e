import * as signalR from '@microsoft/signalr';

class ConduitRealtimeClient {
    constructor(virtualKey) {
        this.virtualKey = virtualKey;
        this.connection = null;
    }
    
    async connect(hubUrl) {
        this.connection = new signalR.HubConnectionBuilder()
            .withUrl(hubUrl, {
                accessTokenFactory: () => this.virtualKey
            })
            .withAutomaticReconnect({
                nextRetryDelayInMilliseconds: retryContext => {
                    // Exponential backoff: 0s, 2s, 4s, 8s, 16s, 30s, 30s...
                    if (retryContext.previousRetryCount === 0) return 0;
                    if (retryContext.previousRetryCount === 1) return 2000;
                    if (retryContext.previousRetryCount === 2) return 4000;
                    if (retryContext.previousRetryCount === 3) return 8000;
                    if (retryContext.previousRetryCount === 4) return 16000;
                    return 30000;
                }
            })
            .configureLogging(signalR.LogLevel.Information)
            .build();
        
        // Set up event handlers
        this.setupEventHandlers();
        
        // Handle connection lifecycle
        this.connection.onreconnecting(error => {
            console.log('Reconnecting...', error);
        });
        
        this.connection.onreconnected(connectionId => {
            console.log('Reconnected:', connectionId);
            // Re-subscribe to any active tasks
            this.resubscribeToActiveTasks();
        });
        
        this.connection.onclose(error => {
            console.error('Connection closed:', error);
        });
        
        // Start connection
        await this.connection.start();
        console.log('Connected to SignalR hub');
    }
    
    setupEventHandlers() {
        // Image generation events
        this.connection.on('TaskProgress', (taskId, progress) => {
            this.onProgress?.(taskId, progress);
        });
        
        this.connection.on('TaskCompleted', (taskId, result) => {
            this.onCompleted?.(taskId, result);
            this.unsubscribeFromTask(taskId);
        });
        
        this.connection.on('TaskFailed', (taskId, error) => {
            this.onFailed?.(taskId, error);
            this.unsubscribeFromTask(taskId);
        });
    }
    
    async subscribeToTask(taskId) {
        try {
            await this.connection.invoke('SubscribeToTask', taskId);
            this.activeTasks.add(taskId);
        } catch (error) {
            console.error('Failed to subscribe:', error);
            throw error;
        }
    }
    
    async unsubscribeFromTask(taskId) {
        try {
            await this.connection.invoke('UnsubscribeFromTask', taskId);
            this.activeTasks.delete(taskId);
        } catch (error) {
            console.error('Failed to unsubscribe:', error);
        }
    }
    
    async disconnect() {
        if (this.connection) {
            await this.connection.stop();
        }
    }
}

// Usage example
const client = new ConduitRealtimeClient('condt_your_virtual_key');

// Connect to image generation hub
await client.connect('wss://api.conduit.im/hubs/image-generation');

// Set up handlers
client.onProgress = (taskId, progress) => {
    console.log(`Task ${taskId}: ${progress}% complete`);
    updateProgressBar(taskId, progress);
};

client.onCompleted = (taskId, result) => {
    console.log(`Task ${taskId} completed:`, result);
    displayImage(result.imageUrl);
};

client.onFailed = (taskId, error) => {
    console.error(`Task ${taskId} failed:`, error);
    showError(error);
};

// Subscribe to a task
await client.subscribeToTask('550e8400-e29b-41d4-a716-446655440000');
