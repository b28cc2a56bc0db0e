/** The small things that more than one file here needs. */

/** One timer. Setting it unsets what it was set to; without a time, or with one that timers can't hold, that is all. */
export function newTimer(): (ms?: number, act?: () => void) => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  return (ms, act) => {
    clearTimeout(timer);
    if ((ms as number) < 2e9) timer = setTimeout(act as () => void, ms);
  };
}

/** Does one after the other until it is `over`. What can't be done doesn't hold up what comes after it. */
export function newQueue(over: AbortSignal): (act: () => unknown) => void {
  let last: Promise<unknown> = Promise.resolve();
  return (act) => {
    last = last.then(() => over.aborted || act()).catch(() => {});
  };
}

export const utf8 = (text: string) => new TextEncoder().encode(text);
