// What an app saw and did, in order, for tests to ask about: POST /~log {match, count, withinMs} answers with the entries that
// match, once there are `count` of them or time is up.
const entries = [];
const waiting = new Set();
const times = new Map();
const gates = new Map();
const settings = new Map();

export function record(entry) {
  const noted = { seq: entries.length, at: Date.now(), ...entry };
  entries.push(noted);
  for (const look of [...waiting]) look(noted);
}

const matches = (entry, match) =>
  Object.entries(match).every(([name, value]) =>
    Array.isArray(value) ? value.includes(entry[name]) : entry[name] === value,
  );

/** How often this has happened, this time included. */
export function count(what) {
  const n = (times.get(what) ?? 0) + 1;
  times.set(what, n);
  return n;
}

function gateOf(name) {
  if (!gates.has(name)) {
    const gate = {};
    gate.opened = new Promise((resolve) => (gate.open = resolve));
    gates.set(name, gate);
  }
  return gates.get(name);
}

/** Waits until a test opens the gate. */
export const gate = (name) => gateOf(name).opened;

/** What a test has set: POST /~set {name: value}. */
export const setting = (name) => settings.get(name);

function find({ match, count: wanted = 0, withinMs = 0 }) {
  const found = entries.filter((entry) => matches(entry, match));
  if (found.length >= wanted || withinMs === 0) return found;
  return new Promise((resolve) => {
    const look = (entry) => {
      if (matches(entry, match) && found.push(entry) >= wanted) done();
    };
    const done = () => {
      clearTimeout(timer);
      waiting.delete(look);
      resolve(found);
    };
    const timer = setTimeout(done, withinMs);
    waiting.add(look);
  });
}

/** The tests' own door. */
export async function control(path, body) {
  if (path === '/~log') return find(body);
  if (path === '/~open') return gateOf(body.name).open();
  if (path === '/~set') return void Object.entries(body).forEach(([name, value]) => settings.set(name, value));
  throw new Error(`no such door: ${path}`);
}
