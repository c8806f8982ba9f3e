/*
 * Copyright (C) Conduit for nginx authors
 */

// What the official client of OpenAI makes of us: one JSON line per call.

import { createRequire } from 'node:module';

const require = createRequire(process.env.CONDUIT_CLIENTS + '/');
const OpenAI = require('openai');

const client = new OpenAI({
    baseURL: process.env.CONDUIT_URL + '/v1',
    apiKey: process.env.CONDUIT_KEY,
});

const prompts = JSON.parse(process.argv[2]);

for (const prompt of prompts) {
    try {
        const reply = await client.images.generate({
            model: 'sandbox-image', prompt, n: 2, size: '64x64',
            response_format: 'b64_json',
        });

        console.log(JSON.stringify({
            created: reply.created,
            data: reply.data.map(item => item.b64_json.slice(0, 11)),
        }));

    } catch (error) {
        console.log(JSON.stringify({
            name: error.constructor.name, status: error.status,
            code: error.code, type: error.type, param: error.param,
        }));
    }
}
