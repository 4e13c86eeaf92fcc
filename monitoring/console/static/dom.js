// How is anything put on the page? Every text by textContent, every style by a class or a custom property.

/** An element; attributes that begin with "on" are listeners, `vars` are CSS custom properties, children nodes or texts. */
export function h(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "vars") for (const [key, one] of Object.entries(value)) node.style.setProperty(key, one);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.flat(9).filter((child) => child !== null && child !== undefined && child !== false).map(asNode));
  return node;
}

function asNode(child) {
  return child instanceof Node ? child : document.createTextNode(String(child));
}

const shown = new WeakMap();

/** Builds a section anew where what it says changed; focus and opened details stay where they were. */
export function show(section, said, build) {
  const signature = JSON.stringify(said);
  if (shown.get(section) === signature) return;
  shown.set(section, signature);
  const focused = section.contains(document.activeElement) ? document.activeElement.id : "";
  const open = new Map([...section.querySelectorAll("details[id]")].map((one) => [one.id, one.open]));
  section.replaceChildren(...[build()].flat(9).filter(Boolean));
  for (const one of section.querySelectorAll("details[id]")) if (open.has(one.id)) one.open = open.get(one.id);
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
}

/** Appends `make(item)` for the first `step` items, and for the next ones when the reader comes near the end. */
export function lazily(parent, items, make, step = 40, root = null) {
  let at = 0;
  const more = () => {
    parent.append(...items.slice(at, at + step).map(make));
    at += step;
  };
  more();
  if (at >= items.length) return;
  const watcher = new IntersectionObserver(
    (seen) => {
      if (!seen.some((one) => one.isIntersecting) || !parent.isConnected) return;
      watcher.disconnect();
      more();
      if (at < items.length) watcher.observe(parent.lastElementChild);
    },
    { root, rootMargin: "600px" },
  );
  watcher.observe(parent.lastElementChild);
}

/** A sentence in which `names` stand in backticks. */
export function prose(sentence) {
  return sentence.split("`").map((part, i) => (i % 2 ? h("code", {}, part) : part));
}

/** A command line that can be copied. */
export function command(line) {
  const button = h("button", { type: "button", class: "copy", onclick: copy }, "Copy");
  async function copy() {
    await navigator.clipboard.writeText(line);
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 1500);
  }
  return h("p", { class: "command" }, h("code", {}, line), navigator.clipboard ? button : null);
}

/** A word with a mark of its own: colour is never the only sign. */
export function pill(level, text) {
  return h("span", { class: `pill ${level}` }, h("span", { class: "mark", "aria-hidden": "true" }, MARKS[level] ?? "·"), text);
}

export const MARKS = { bad: "▲", warn: "◆", good: "●", unknown: "○" };
