/** The predecessor's clients in Python: `python-socketio` over each of its transports. */

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { test } from 'node:test';
import { TOKEN, start, within } from './stage.mjs';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
/** Made by `make test` from requirements.txt. */
const PYTHON = process.env.SOCKETIO_PYTHON ?? here('../../target/socketio-venv/bin/python3');

for (const transports of ['websocket', 'polling', 'polling,websocket']) {
  test(`python-socketio over ${transports} finds what the predecessor had`, async () => {
    const stage = await start();
    const arguments_ = [stage.url, TOKEN, stage.mqtt, stage.pid, transports].map(String);
    try {
      const script = [here('client.py'), ...arguments_];
      await promisify(execFile)(PYTHON, script, { timeout: 100_000 });
      assert.equal(await within(stage.ended, 'the server ends', 15_000), 0);
      assert.ok(!stage.log().includes('panicked'), stage.log());
    } finally {
      await stage.close();
    }
  });
}
