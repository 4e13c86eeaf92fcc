// How does the page ask its monitor? Always the one that served it, with the key that the reader gave where it asks for one.

const KEY = "plumbline-key";
const QUIET_MS = 20_000; // a status is new every second: a stream that is silent for so long is dead
const POLL_MS = 5_000; // where no stream is to be had
const AGAIN_MS = 500; // after a stream that ended as it should
const WAIT_MS_MAX = 30_000;

/** An answer that is no 2xx; `code` is undefined where it is not the monitor's own. */
export class Refused extends Error {
  constructor(status, sentence, code) {
    super(sentence);
    Object.assign(this, { status, code });
  }
}

export function keep(key) {
  sessionStorage.setItem(KEY, key);
}

function headers() {
  const key = sessionStorage.getItem(KEY);
  return key ? { authorization: `Bearer ${key}` } : {};
}

async function get(path, signal) {
  return checked(path, await fetch(path, { headers: headers(), signal, cache: "no-store", credentials: "omit" }));
}

async function checked(path, answer) {
  if (answer.ok) return answer;
  const told = await answer.json().catch(() => ({}));
  throw new Refused(answer.status, told.error ?? `${path}: ${answer.status}`, told.code);
}

/** The JSON at `api/<path>?<asked>`. Throws Refused. */
export async function ask(path, asked = {}, signal = undefined) {
  const query = new URLSearchParams(Object.entries(asked).filter(([, value]) => value !== undefined && value !== null));
  return (await get(`api/${path}${query.size ? `?${query}` : ""}`, signal)).json();
}

/** Orders something with a token that goes into this one request. Throws Refused. */
export async function order(method, path, token, body) {
  const authorization = `Bearer ${token}`;
  const asked = { method, headers: { authorization, "content-type": "application/json" }, body: JSON.stringify(body), cache: "no-store", credentials: "omit" };
  return (await checked(path, await fetch(`api/${path}`, asked))).json();
}

/** Tells every overview for ever: by the stream, by asking where there is none; `state`: live, polling, lost or locked. */
export async function listen(overview, state) {
  for (let failed = 0; ; ) {
    try {
      await stream((told) => {
        failed = 0;
        state("live");
        overview(told);
      });
    } catch (error) {
      if (error instanceof Refused && [401, 403].includes(error.status)) return state("locked", error.message);
      if (error instanceof Refused && error.status === 503 && (await polled(overview, state))) continue;
      failed += 1;
      state("lost", error.message);
    }
    await pause(failed ? Math.min(WAIT_MS_MAX, 1000 * 2 ** failed) : AGAIN_MS);
  }
}

async function polled(overview, state) {
  try {
    overview(await ask("overview"));
  } catch {
    return false;
  }
  state("polling");
  await pause(POLL_MS);
  return true;
}

async function stream(tell) {
  const ending = new AbortController();
  let timer = setTimeout(() => ending.abort(), QUIET_MS);
  try {
    const reader = (await get("api/stream", ending.signal)).body.pipeThrough(new TextDecoderStream()).getReader();
    for (let rest = ""; ; ) {
      const { value, done } = await reader.read();
      if (done) return;
      clearTimeout(timer);
      timer = setTimeout(() => ending.abort(), QUIET_MS);
      const events = (rest + value).split("\n\n");
      rest = events.pop();
      const data = events.flatMap((event) => event.split("\n")).filter((line) => line.startsWith("data: "));
      if (data.length) tell(JSON.parse(data.at(-1).slice(6))); // only the newest: it says all that the ones before it did
    }
  } finally {
    clearTimeout(timer);
  }
}

function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
