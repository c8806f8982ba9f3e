// Copyright (C) Conduit for nginx authors

// What packages of npm make of webhooks: a JSON array of {headers, body,
// secret, jwk} on stdin, of {openai, standard, jwe} on stdout.

import { createRequire } from 'module';
import { readFileSync } from 'fs';
import { webcrypto } from 'crypto';

globalThis.crypto ??= webcrypto;

const require = createRequire(process.env.CONDUIT_CLIENTS + '/');
const OpenAI = require('openai-current');
const { Webhook } = require('standardwebhooks');
const jose = require('jose');

const client = new OpenAI({ apiKey: 'none' });

async function outcome(call) {
    try {
        return { value: await call() };

    } catch (error) {
        return { error: error.constructor.name };
    }
}

const results = [];

for (const { headers, body, secret, jwk } of JSON.parse(readFileSync(0))) {
    const result = {};

    if (secret) {
        result.openai = await outcome(
            () => jwk ? client.webhooks.verifySignature(body, headers, secret)
                            .then(() => true)
                      : client.webhooks.unwrap(body, headers, secret));
        result.standard = await outcome(
            () => new Webhook(secret).verify(body, headers,
                                             { jsonParse: !jwk }));
    }

    if (jwk) {
        result.jwe = await outcome(async () => {
            const key = await jose.importJWK(jwk, 'ECDH-ES+A256KW');
            const { plaintext, protectedHeader } =
                await jose.compactDecrypt(body, key);

            return { header: protectedHeader,
                     body: new TextDecoder().decode(plaintext) };
        });
    }

    results.push(result);
}

console.log(JSON.stringify(results));
