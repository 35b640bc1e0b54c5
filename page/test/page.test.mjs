/**
 * The built page in headless Chromium: `make test-page`.
 *
 * build/page_test has the pictures and the joints that TensorFlow finds in them (tests/page_cases.py); screenshots go
 * there, too.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { noBrowser, openBrowser, serve } from './browser.mjs';

const AXE = fileURLToPath(import.meta.resolve('axe-core/axe.min.js'));
const BUILT = process.env.PAGE ?? 'build/page';
const CASES = process.env.CASES ?? 'build/page_test';
const LIMIT = 0.5;                          // pixels between the page's joints and TensorFlow's
const TORSO_LIMIT = 4;                      // pixels between inferred torsos: half a cell, priors are 2 % exact
const SLOW = 120_000;                       // milliseconds: other programs may be running
const WIDE = { width: 1280, height: 900 };
const PHONE = { width: 390, height: 844 };

const picture = (name) => `${CASES}/${name}`;

describe('the page', { skip: noBrowser(), timeout: 10 * SLOW }, () => {
  let server, browser, page;
  const requests = [];
  const problems = [];

  before(async () => {
    server = await serve(BUILT);
    browser = await openBrowser({ viewport: WIDE, permissions: ['camera'] });
    browser.context.on('request', (request) => requests.push(request.url()));
    page = await browser.context.newPage();
    page.setDefaultTimeout(SLOW);
    page.on('pageerror', (error) => problems.push(error.stack));
    page.on('console', (message) => message.type() === 'error' && problems.push(message.text()));
    const started = Date.now();
    await page.goto(server.address);
    await ready(page);
    console.log(`from the address to the first answer: ${(Date.now() - started) / 1000} s`);
    console.log(await page.textContent('#timing'));
  });

  after(async () => {
    await browser?.close();
    server?.stop();
  });

  test('finds the joints that TensorFlow finds', async () => {
    for (const { file, torso, joints, detector, inferred } of JSON.parse(readFileSync(picture('cases.json')))) {
      await choose(page, picture(file));
      const found = await torsoOf(page);
      assert.ok(distance(found, inferred) < TORSO_LIMIT, `${file}: torso ${found}, expected ${inferred}`);
      await clickAt(page, torso);
      const rows = await table(page);
      const worst = {
        'joint model': furthest(rows.map((row) => row.jointModel), joints),
        detector: furthest(rows.map((row) => row.detector), detector),
      };
      console.log(`${file}: largest difference in pixels`, worst, await page.textContent('#timing'));
      for (const [name, difference] of Object.entries(worst)) assert.ok(difference < LIMIT, `${file}: ${name}`);
    }
  });

  test('a click, or the keyboard, changes the target person', async () => {
    await answered(page, () => page.click('#samples button >> nth=0'));
    const noses = [];
    for (const torso of [[160, 240], [580, 344]]) {
      await clickAt(page, torso);
      noses.push((await table(page)).at(-1).jointModel);
    }
    assert.ok(noses[0][0] < 300 && noses[1][0] > 450, `noses at ${noses[0]} and ${noses[1]}`);
    await page.focus('#skeleton');
    for (let i = 0; i < 11; i++) await page.keyboard.press('Shift+ArrowLeft');
    for (let i = 0; i < 3; i++) await page.keyboard.press('Shift+ArrowUp');
    await answered(page, () => page.keyboard.press('Enter'));
    assert.ok(distance(await torsoOf(page), [140, 224]) < 10, `torso at ${await torsoOf(page)}`);
    assert.ok((await table(page)).at(-1).jointModel[0] < 300);
    await answered(page, () => page.click('#find-torso'));
    assert.ok((await torsoOf(page))[0] > 450);
  });

  test('the product of all messages is the joint map, that of none the own map', async () => {
    for (const joint of [0, 5, 8]) {
      await page.check(`#message-joint input[value="${joint}"]`, { force: true });
      const row = (await table(page))[joint];
      await slide(page, 9);
      assert.ok(distance(await productPeak(page), row.jointModel) < 0.2, `joint ${joint}`);
      await slide(page, 0);
      assert.ok(distance(await productPeak(page), row.detector) < 8, `joint ${joint}`);
      assert.equal(await page.locator('#tiles li.waiting').count(), 9);
    }
    assert.equal(await page.locator('#tiles li').count(), 10);
    assert.equal(await page.locator('#tiles canvas').count(), 19);
    await slide(page, 9);
  });

  test('hovering shows cell and value; so does the keyboard', async () => {
    await page.hover('#joint-map', { position: { x: 100, y: 100 } });
    assert.match(await page.textContent('#readout'), /^joint model, row \d+, column \d+ .*: [\d.e-]+ of the peak$/);
    await page.hover('#prior-learned', { position: { x: 10, y: 10 } });
    assert.match(await page.textContent('#readout'), /^\d+ px left, \d+ px up: [\d.e-]+ of the most likely$/);
    await page.focus('#detector-map');
    await page.keyboard.press('ArrowRight');
    const first = await page.textContent('#spoken');
    await page.keyboard.press('ArrowRight');
    const [before, now] = [first, await page.textContent('#spoken')].map((text) => Number(/column (\d+)/.exec(text)[1]));
    assert.equal(now, before + 1);
  });

  test('detector alone and joint model', async () => {
    await page.check('input[value="detector"]', { force: true });
    assert.match(await page.getAttribute('#skeleton', 'aria-label'), /detector alone/);
    await page.check('input[value="joint-model"]', { force: true });
    assert.match(await page.getAttribute('#skeleton', 'aria-label'), /joint model/);
  });

  test('priors of a chosen pair', async () => {
    await page.selectOption('#prior-joint', { label: 'nose' });
    await page.selectOption('#prior-sender', { label: 'torso' });
    assert.match(await page.textContent('#prior-text'), /^nose given torso\. Most likely at the start: .* up; learned: /);
    assert.equal(await page.locator('#prior-sender option:disabled').textContent(), 'nose');
    await page.check('#prior-log');
    assert.match(await page.getAttribute('#prior-start', 'aria-label'), /nose given torso, start/);
  });

  test('says what is wrong with a picture', async () => {
    const answer = await table(page);
    for (const [file, said] of [
      ['one_pixel.png', /1 × 1 pixels: too small/],
      ['broken.jpg', /broken\.jpg cannot be read as a picture/],
      ['cases.json', /cases\.json cannot be read as a picture/],
    ]) {
      await page.setInputFiles('#file', picture(file));
      await page.waitForSelector('#message.problem');
      await page.waitForFunction((text) => new RegExp(text).test(document.querySelector('#message').textContent),
        said.source);
    }
    await page.setInputFiles('#file', []);
    await page.evaluate(() => document.dispatchEvent(new DragEvent('drop', { dataTransfer: new DataTransfer() })));
    await page.waitForFunction(() => /There is no picture/.test(document.querySelector('#message').textContent));
    assert.deepEqual(await table(page), answer, 'the last answer stays');
    await choose(page, picture('large.png'));
    assert.match(await page.textContent('#message'), /8000 × 6000 pixels, scaled to 640 × 480/);
    assert.equal(await page.locator('#message.problem').count(), 0);
  });

  test('the camera starts and stops', async () => {
    await page.click('#camera');
    await page.waitForFunction(() => /frames stay in this tab/.test(document.querySelector('#message').textContent));
    const first = await page.textContent('#timing');
    await page.waitForFunction((text) => document.querySelector('#timing').textContent !== text, first);
    await page.click('#camera');
    await idle(page);
    assert.equal(await page.getAttribute('#camera', 'aria-pressed'), 'false');
  });

  test('axe finds no fault with the page', async () => {
    await page.evaluate(readFileSync(AXE, 'utf8'));
    for (const colorScheme of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme });
      const { violations } = await page.evaluate(() => globalThis.axe.run());
      assert.deepEqual(violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]), [], colorScheme);
    }
  });

  test('every control and canvas has a name', async () => {
    const nameless = await page.$$eval('canvas, input, select, button, img', (elements) => elements.filter((element) => (
      !element.ariaLabel && !element.labels?.length && !element.textContent.trim() && !element.alt && !element.title
      && !element.querySelector('img[alt]'))).map((element) => element.outerHTML));
    assert.deepEqual(nameless, []);
  });

  test('nothing leaves the browser, nothing fails', () => {
    const elsewhere = requests.filter((url) => !url.startsWith(server.address) && !/^(blob|data):/.test(url));
    assert.deepEqual(elsewhere, []);
    assert.deepEqual(problems, []);
  });

  test('light, dark and on a phone', async () => {
    for (const [name, viewport, colorScheme] of [
      ['light', WIDE, 'light'], ['dark', WIDE, 'dark'], ['phone', PHONE, 'light'], ['phone_dark', PHONE, 'dark'],
    ]) {
      await page.setViewportSize(viewport);
      await page.emulateMedia({ colorScheme });
      if (name === 'light') {
        await answered(page, () => page.click('#samples button >> nth=0'));
      }
      await page.screenshot({ path: picture(`${name}.png`), fullPage: true });
      const width = await page.evaluate(() => document.documentElement.scrollWidth);
      assert.ok(width <= viewport.width, `${name}: ${width} pixels wide`);
    }
  });

  test('says what a browser lacks, and which file is missing', async () => {
    for (const [prepare, said] of [
      [(tab) => tab.addInitScript(() => delete globalThis.WebAssembly), /has no WebAssembly/],
      [(tab) => tab.route('**/detector.onnx', (route) => route.fulfill({ status: 404 })),
        /could not start: model\/detector\.onnx could not be loaded: the server says 404/],
      [(tab) => tab.route('**/detector.onnx', (route) => route.fulfill({ body: 'no network' })), /could not start: /],
    ]) {
      const tab = await browser.context.newPage();
      await prepare(tab);
      await tab.goto(server.address);
      await tab.waitForSelector('#message.problem', { timeout: SLOW });
      assert.match(await tab.textContent('#message'), said);
      assert.equal(await tab.isVisible('#loading'), false);
      await tab.close();
    }
  });

  test('opened as a file, it says how to open it', async () => {
    const tab = await browser.context.newPage();
    await tab.goto(String(pathToFileURL(resolve(BUILT, 'index.html'))));
    assert.match(await tab.textContent('#loading-text'), /Opened as a file, .* python3 -m http\.server/);
    await tab.close();
  });

  test('a progress bar shows while the networks load', async () => {
    const tab = await browser.context.newPage();
    let release;
    const held = new Promise((resolve) => { release = resolve; });
    await tab.route('**/spatial_model.onnx', async (route) => {
      await held;
      await route.continue();
    });
    await tab.goto(server.address);
    await tab.waitForFunction(() => document.querySelector('#loading-bar').value > 0.3);
    assert.match(await tab.textContent('#loading-text'), /Loading the networks, \d+ MB/);
    release();
    await ready(tab);
    assert.equal(await tab.isVisible('#loading'), false);
    await tab.close();
  });
});

// --- what the tests do with the page ---

async function ready(page) {
  await page.waitForFunction(() => document.documentElement.dataset.ready, null, { timeout: SLOW });
}

/** Waits until the networks have nothing to do. */
async function idle(page) {
  await page.waitForFunction(() => !document.querySelector('#study').classList.contains('busy'));
}

/** Does something and waits for the answer that follows. */
async function answered(page, act) {
  const before = await page.getAttribute('#skeleton', 'data-shown');
  await act();
  await page.waitForFunction((text) => document.querySelector('#skeleton').dataset.shown !== text, before);
  await idle(page);
}

async function choose(page, file) {
  await answered(page, () => page.setInputFiles('#file', file));
}

/** Clicks at (x, y) pixels of the frame. */
async function clickAt(page, [x, y]) {
  const { width, height } = await page.locator('#skeleton').boundingBox();
  const position = { x: (x / 720) * width, y: (y / 480) * height };
  await answered(page, () => page.click('#skeleton', { position }));
}

async function slide(page, n) {
  await page.fill('#senders', String(n));
}

async function productPeak(page) {
  return numbers(/Peak at (.*?);/.exec(await page.textContent('#product-text'))[1]);
}

async function torsoOf(page) {
  return numbers(/torso at (.*)$/.exec(await page.getAttribute('#skeleton', 'aria-label'))[1]);
}

/** The table's rows: where the detector and the joint model find each joint. */
async function table(page) {
  const rows = await page.$$eval('#joints tbody tr', (all) => (
    all.map((row) => [...row.querySelectorAll('td')].map((cell) => cell.textContent))));
  return rows.map(([detector, , jointModel]) => ({ detector: numbers(detector), jointModel: numbers(jointModel) }));
}

function numbers(text) {
  return text.split(',').map(Number);
}

function distance([x, y], [otherX, otherY]) {
  return Math.hypot(x - otherX, y - otherY);
}

function furthest(found, expected) {
  return Math.max(...found.map((point, i) => distance(point, expected[i])));
}
