/** What a page has drawn: the chart's columns and the lines of sparklines. */

/**
 * Wraps uPlot on its way to the page, so that a test can read what the chart was given. The page's
 * own modules are as they are.
 *
 * @param {import('playwright-core').BrowserContext} context before its page is opened
 */
export async function watchDrawing(context) {
  await context.route('**/assets/uPlot.esm.js', async (route) => {
    const answer = await route.fetch();
    const wrapped = (await answer.text()).replace(/export \{ uPlot as default \};\s*$/, `
      export default class Watched extends uPlot {
        constructor(...all) { super(...all); globalThis.watchedPlot = this; }
      }
      Object.assign(Watched, uPlot);`);
    await route.fulfill({ response: answer, body: wrapped });
  });
  await context.addInitScript(() => {
    const lines = new WeakMap();
    for (const name of ['moveTo', 'lineTo']) {
      const draw = Path2D.prototype[name];
      Path2D.prototype[name] = function drawn(x, y) {
        lines.set(this, [...(lines.get(this) ?? []), x]);
        return draw.call(this, x, y);
      };
    }
    const { stroke, clearRect } = CanvasRenderingContext2D.prototype;
    Object.assign(CanvasRenderingContext2D.prototype, {
      stroke(path) {
        if (path) (this.canvas.drawnLines ??= []).push(lines.get(path));
        return path ? stroke.call(this, path) : stroke.call(this);
      },
      clearRect(...all) {
        this.canvas.drawnLines = [];
        return clearRect.apply(this, all);
      },
    });
  });
}

/**
 * @param {import('playwright-core').Page} page
 * @returns {Promise<{t: number[], holes: number[], room: number}>} times of the readings on the
 *   chart, before which of them the line is open, and with how many it is asked for at most
 */
export const chartOf = (page) => page.evaluate(() => {
  const plot = globalThis.watchedPlot;
  const [t, v] = plot?.data ?? [[], []];
  const room = plot ? (2 * plot.bbox.width) / devicePixelRatio : Infinity;
  const shown = { t: [], holes: [], room };
  t.forEach((at, i) => (v[i] === null ? shown.holes.push(at) : shown.t.push(at)));
  return shown;
});

/**
 * The lines of the sparkline of one card, each as its pixels from the left.
 * @param {import('playwright-core').Locator} card
 * @returns {Promise<number[][]>}
 */
export const sparkOf = (card) =>
  card.locator('canvas').evaluate((canvas) => canvas.drawnLines ?? []);
