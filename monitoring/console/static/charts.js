// Which charts are on the page? Each is drawn at its width, again where its width or the colours change, and ended with what it stands in.

import uPlot from "./vendor/uplot/uPlot.esm.js";

const charts = new Map(); // by element: where it stands, how it is drawn, and the plot once there is one
const widths = new ResizeObserver((seen) => seen.forEach(({ target }) => measured(target)));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => charts.forEach(draw));

/** Draws what `make` says of an element, its options and its data, as soon as it has a width; `where`: what is rebuilt with it. */
export function chart(where, element, make) {
  charts.set(element, { where, make, plot: null, width: 0 });
  widths.observe(element);
  return element;
}

/** Before something is built anew: a plot that is not destroyed is held by the window for as long as the page is open. */
export function end(where) {
  charts.forEach((one, element) => one.where === where && drop(one, element));
}

function measured(element) {
  const one = charts.get(element);
  if (!one) return;
  if (!element.isConnected) return drop(one, element);
  if (element.clientWidth === one.width) return;
  one.width = element.clientWidth;
  draw(one, element);
}

function draw(one, element) {
  if (!element.isConnected || !element.clientWidth) return;
  one.plot?.destroy();
  one.plot = new uPlot(...one.make(element), element);
}

function drop(one, element) {
  one.plot?.destroy();
  widths.unobserve(element);
  charts.delete(element);
}
