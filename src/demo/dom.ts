/** The page's elements, by id. Owns nothing; what is not there is a mistake in page.html, and said so at once. */

/** @throws Error where the page has no such element */
export function element<T extends HTMLElement = HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no ${id}`);
  return found as T;
}

/** A new element with a text, which is never read as HTML. */
export function made<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  text: string,
  className = "",
): HTMLElementTagNameMap[K] {
  const one = document.createElement(tag);
  one.textContent = text;
  one.className = className;
  return one;
}

/** Acts on the clicks of all that `selector` finds. */
export function onClick(selector: string, act: () => void): void {
  for (const button of document.querySelectorAll(selector)) button.addEventListener("click", act);
}
