/** A link as a picture that a phone reads: black on white in either colour scheme, with the white edge that readers need. */
import { encode } from "uqr";

const SVG = "http://www.w3.org/2000/svg";
/** Modules of white around it (ISO/IEC 18004). */
const EDGE = 4;

/** An SVG element that shows `text`. */
export function qrCode(text: string): SVGSVGElement {
  const { data, size } = encode(text, { ecc: "M", border: EDGE });
  const svg = drawn("svg", { viewBox: `0 0 ${size} ${size}`, "shape-rendering": "crispEdges", "aria-hidden": "true" });
  const d = data.flatMap((row, y) => row.flatMap((isDark, x) => (isDark ? [`M${x} ${y}h1v1h-1z`] : []))).join("");
  svg.append(drawn("rect", { width: `${size}`, height: `${size}`, fill: "#fff" }), drawn("path", { d, fill: "#000" }));
  return svg;
}

function drawn<K extends keyof SVGElementTagNameMap>(
  tag: K,
  attributes: Record<string, string>,
): SVGElementTagNameMap[K] {
  const one = document.createElementNS(SVG, tag) as SVGElementTagNameMap[K];
  for (const [name, value] of Object.entries(attributes)) one.setAttribute(name, value);
  return one;
}
