// Copyright (C) Conduit for nginx authors

// @microsoft/signalr as it is: follows one task to its end, prints what comes.

import { createRequire } from 'module';

const require = createRequire(process.env.CONDUIT_CLIENTS + '/');
const signalr = require('@microsoft/signalr');
const msgpack = require('@microsoft/signalr-protocol-msgpack');

const { CONDUIT_URL, CONDUIT_KEY, TASK, PROTOCOL, TRANSPORT } = process.env;

const say = (...args) => console.log(JSON.stringify(args));

const builder = new signalr.HubConnectionBuilder()
    .withUrl(CONDUIT_URL, {
        accessTokenFactory: () => CONDUIT_KEY,
        transport: signalr.HttpTransportType[TRANSPORT]
    })
    .withAutomaticReconnect([0, 100, 200, 500, 1000])
    .configureLogging(signalr.LogLevel.Error);

if (PROTOCOL === 'messagepack') {
    builder.withHubProtocol(new msgpack.MessagePackHubProtocol());
}

if (process.env.STATEFUL) {
    builder.withStatefulReconnect();
}

const connection = builder.build();

const ended = new Promise((resolve) => {
    connection.on('TaskProgress', (...a) => say('TaskProgress', ...a));
    connection.on('TaskFailed', (...a) => say('TaskFailed', ...a));
    connection.on('TaskCompleted', (id, result) => {
        say('TaskCompleted', id, result);
        resolve();
    });
});

connection.onreconnecting(() => say('reconnecting'));

connection.onreconnected(async () => {
    say('reconnected');
    await connection.invoke('SubscribeToTask', TASK);
});

await connection.start();
await connection.invoke('SubscribeToTask', TASK);
say('subscribed');

if (process.env.STATEFUL) {

    // calls that are on their way when the connection is cut

    for (;;) {
        const answer = await connection.invoke('GetTask', TASK);
        if (answer.progress === 99 || answer.status !== 'processing') {
            break;
        }
    }

    say('calls');
}

await ended;

say('GetTask', (await connection.invoke('GetTask', TASK)).status);

try {
    await connection.invoke('Nonsense');
} catch (e) {
    say('error', e.message);
}

await connection.stop();
say('stopped');
