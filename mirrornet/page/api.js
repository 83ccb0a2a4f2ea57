// Requests to the studio's server. Every function rejects with an Error whose message is for the
// user.

async function asked(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The studio does not answer; is it still running?");
  }
  if (!answer.ok) {
    const told = await answer.json().catch(() => ({}));
    throw new Error(told.error || `The studio answered ${answer.status}.`);
  }
  return answer;
}

const json = (method, body, signal) => ({
  method,
  signal,
  headers: { "Content-Type": "application/json" },
  body: JSON.stringify(body),
});

export const get = async (path) => (await asked(path)).json();
export const post = async (path, body = {}) => (await asked(path, json("POST", body))).json();
export const put = (path, body) => asked(path, json("PUT", body));
export const remove = (path) => asked(path, { method: "DELETE" });

export const upload = async (name, blob) =>
  (await asked(`/api/sounds?name=${encodeURIComponent(name)}`, { method: "POST", body: blob })).json();

// A binary answer: its head, with the arrays by name, as `wire.py` packs them.
export async function arrays(path, body, signal) {
  const answer = await asked(path, body ? json("POST", body, signal) : { signal });
  return unpacked(await answer.arrayBuffer());
}

export function unpacked(data) {
  const length = new DataView(data).getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length)));
  let at = 4 + length;
  for (const [name, kind, shape] of head.arrays) {
    const size = shape.reduce((product, side) => product * side, 1);
    head[name] = kind === "f4" ? new Float32Array(data, at, size) : new Uint8Array(data, at, size);
    at += head[name].byteLength;
  }
  return head;
}

// Follows a job: `tell` receives each event. Resolves with the last one, which is `done`; rejects
// if the job failed, with `error.cancelled` if it was cancelled.
export function follow(job, tell) {
  return new Promise((resolve, reject) => {
    const events = new EventSource(`/api/jobs/${job}`);
    let lost = 0;
    events.onmessage = (message) => {
      lost = 0;
      const event = JSON.parse(message.data);
      if (event.kind === "done" || event.kind === "failed" || event.kind === "cancelled") {
        events.close();
        if (event.kind === "done") return resolve(event);
        const error = new Error(event.text || "It was cancelled.");
        error.cancelled = event.kind === "cancelled";
        return reject(error);
      }
      tell(event);
    };
    events.onerror = () => {
      lost += 1;
      if (events.readyState === EventSource.CLOSED || lost > 3) {
        events.close();
        reject(new Error("The studio does not answer; is it still running?"));
      }
    };
  });
}
