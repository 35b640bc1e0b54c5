/** A headless Chromium and a static server, for the tests. */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

export const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
const FLAGS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync',
  '--use-fake-ui-for-media-stream', '--use-fake-device-for-media-stream',           // a camera that shows a test picture
];

/** Why there is no browser to test in, or false. */
export function noBrowser() {
  return existsSync(CHROMIUM) ? false : `no Chromium at ${CHROMIUM} (CHROMIUM=PATH names another)`;
}

/** A fresh browser, with a profile of its own that is removed when it is closed. */
export async function openBrowser(options = {}) {
  const profile = mkdtempSync(join(tmpdir(), 'page-test-'));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: CHROMIUM, headless: true, args: FLAGS, ...options });
  const close = async () => {
    await context.close();
    rmSync(profile, { recursive: true, force: true });
  };
  return { context, close };
}

/** Serves a folder as `python3 -m http.server` does; returns its address and what stops it. */
export async function serve(folder) {
  const server = spawn('python3', ['-u', '-m', 'http.server', '0', '--bind', '127.0.0.1', '--directory', folder]);
  const port = await new Promise((resolve, reject) => {
    let said = '';
    server.stdout.on('data', (text) => {
      said += text;
      const found = /port (\d+) /.exec(said);
      if (found) resolve(found[1]);
    });
    server.on('exit', (code) => reject(new Error(`python3 -m http.server ended with ${code}`)));
  });
  return { address: `http://127.0.0.1:${port}/`, stop: () => server.kill() };
}
