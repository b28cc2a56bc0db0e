/**
 * Finds Debian's Firefox, starts it without a window, and opens pages in it, by WebDriver BiDi: the protocol that it
 * speaks by itself, so that no driver and no patched build is needed. The profile is new with each start.
 */
import { existsSync } from "node:fs";
import { Output, spawn } from "../relays/relay.ts";
import { PATIENCE_MS } from "./chromium.ts";
import { newFolder } from "./folder.ts";
import { until } from "./until.ts";

export const FIREFOX = "/usr/bin/firefox-esr";

/** What lets two pages on one machine meet, and what keeps it from calling home. */
const PREFERENCES = {
  "media.peerconnection.ice.loopback": true,
  "media.peerconnection.ice.obfuscate_host_addresses": false,
  "media.peerconnection.ice.link_local": true,
  "network.captive-portal-service.enabled": false,
  "network.connectivity-service.enabled": false,
  "app.update.enabled": false,
  "browser.shell.checkDefaultBrowser": false,
  "datareporting.policy.dataSubmissionEnabled": false,
  "remote.prefs.recommended": true,
};

export function hasFirefox(): boolean {
  return existsSync(FIREFOX);
}

export interface FirefoxPage {
  /** What `expression` is in the page, or what it promises. */
  run(expression: string): Promise<unknown>;
  /** Waits until `condition`, an expression, holds in the page. */
  until(condition: string): Promise<void>;
  reload(): Promise<void>;
}

export interface Firefox extends AsyncDisposable {
  open(url: string): Promise<FirefoxPage>;
}

type Answer = { readonly id?: number; readonly type: string; readonly result?: unknown; readonly message?: string };

/** Starts it; whoever does ends it. */
export async function launchFirefox(): Promise<Firefox> {
  const folder = await newFolder();
  const lines = Object.entries(PREFERENCES).map(([name, value]) => `user_pref("${name}", ${JSON.stringify(value)});\n`);
  await folder.write("user.js", lines.join(""));
  const firefox = spawn(
    [FIREFOX, "--headless", "--no-remote", "--remote-debugging-port", "0", "--profile", folder.path],
    {
      HOME: folder.path,
    },
  );
  const stderr = new Output(firefox.stderr);
  new Output(firefox.stdout);
  await until("Firefox to listen", () => /WebDriver BiDi listening on \S+/.test(stderr.text));
  const [, url = ""] = /WebDriver BiDi listening on (\S+)/.exec(stderr.text) ?? [];
  const socket = new WebSocket(`${url}/session`);
  await new Promise((resolve, reject) => {
    socket.onopen = resolve;
    socket.onerror = reject;
  });
  let sent = 0;
  const waiting = new Map<number, PromiseWithResolvers<unknown>>();
  socket.onmessage = ({ data }) => {
    const { id = 0, type, result, message }: Answer = JSON.parse(String(data));
    const one = waiting.get(id);
    waiting.delete(id);
    if (type === "success") one?.resolve(result);
    else one?.reject(new Error(message));
  };
  function tell(method: string, params: object): Promise<unknown> {
    const id = ++sent;
    const answer = Promise.withResolvers<unknown>();
    waiting.set(id, answer);
    socket.send(JSON.stringify({ id, method, params }));
    return answer.promise;
  }
  await tell("session.new", { capabilities: {} });

  return {
    async open(address) {
      const { context } = (await tell("browsingContext.create", { type: "tab" })) as { context: string };
      await tell("browsingContext.navigate", { context, url: address, wait: "complete" });
      /** Values come as JSON: BiDi has a notation of its own. */
      async function run(expression: string): Promise<unknown> {
        const given = (await tell("script.evaluate", {
          expression: `(async () => JSON.stringify(await (${expression})) ?? "null")()`,
          target: { context },
          awaitPromise: true,
        })) as { type: string; result: { value: string }; exceptionDetails?: { text: string } };
        if (given.type !== "success") throw new Error(given.exceptionDetails?.text);
        return JSON.parse(given.result.value);
      }
      return {
        run,
        async until(condition) {
          await run(`new Promise((resolve, reject) => {
            const end = performance.now() + ${PATIENCE_MS};
            (function look() {
              if (${condition}) resolve(true);
              else if (performance.now() > end) reject(new Error(${JSON.stringify(condition)} + " was never so"));
              else setTimeout(look, 20);
            })();
          })`);
        },
        reload: async () => void (await tell("browsingContext.reload", { context, wait: "complete" })),
      };
    },
    async [Symbol.asyncDispose]() {
      socket.close();
      firefox.kill("SIGKILL");
      await firefox.exited;
      await folder[Symbol.asyncDispose]();
    },
  };
}
