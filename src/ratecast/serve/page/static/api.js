// Asking the service. Every answer is JSON, or lines of JSON; what went wrong is an Error whose message a person can read.

let key = sessionStorage.getItem("ratecast-key");

export function useKey(value) {
  key = value;
  sessionStorage.setItem("ratecast-key", value);
}

export class KeyNeeded extends Error {}

async function answer(path, options = {}) {
  const headers = { "X-Ratecast-Page": "1", ...options.headers };
  if (key) headers.Authorization = `Bearer ${key}`;
  let response;
  try {
    response = await fetch(`/page/${path}`, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The service does not answer. Check that it runs, then try again.");
  }
  if (response.ok) return response;
  if (response.status === 401 || response.status === 403) throw new KeyNeeded("This needs a valid API key.");
  const body = await response.json().catch(() => ({}));
  const told = body.error?.message ?? body.error ?? body.detail;
  throw new Error(typeof told === "string" ? told : `The service refused this (status ${response.status}).`);
}

export const query = (values) =>
  new URLSearchParams(Object.entries(values).filter(([, value]) => value !== null && value !== undefined && value !== ""));

export const get = async (path, values = {}, signal = null) => (await answer(`${path}?${query(values)}`, { signal })).json();
export const getText = async (path, values = {}) => (await answer(`${path}?${query(values)}`)).text();

export async function post(path, content) {
  const headers = { "Content-Type": "application/json" };
  return (await answer(path, { method: "POST", headers, body: JSON.stringify(content) })).json();
}

// Makes signals, each of which aborts what was asked with the one before: an answer that comes late is never shown.
export function turns() {
  let last = new AbortController();
  return () => {
    last.abort();
    last = new AbortController();
    return last.signal;
  };
}

// Sends reviews, calls onProgress with {done, total} while they are rated, and gives the result.
export async function rate(path, values, body, type, onProgress, signal) {
  const options = { method: "POST", headers: { "Content-Type": type }, body, signal };
  const reader = (await answer(`${path}?${query(values)}`, options)).body.pipeThrough(new TextDecoderStream()).getReader();
  let pending = "";
  for (;;) {
    const { done, value } = await reader.read();
    pending += value ?? "";
    const lines = pending.split("\n");
    pending = lines.pop();
    for (const line of lines) {
      const piece = JSON.parse(line);
      if (piece.error) throw new Error(piece.error);
      if (piece.result) return piece.result;
      onProgress(piece);
    }
    if (done) throw new Error("The service stopped before all reviews were rated. Try again.");
  }
}
