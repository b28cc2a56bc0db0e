/** As much of JSON Schema as the load tester's own needs: where a value is not as it says. Pure. */
export type Schema = Readonly<Record<string, unknown>>;

/** What ends the line about a field that the schema doesn't name: one of a later version, that means nothing here. */
export const UNKNOWN = " is unknown";

/** @returns the places, with what is wrong there; none where all is as the schema says */
export function wrongIn(value: unknown, schema: Schema, root: Schema = schema, place = "$"): string[] {
  const ref = schema["$ref"];
  if (typeof ref === "string") return wrongIn(value, defined(root, ref), root, place);
  const anyOf = schema["anyOf"] as Schema[] | undefined;
  if (anyOf) {
    const all = anyOf.map((one) => wrongIn(value, one, root, place));
    return all.some((wrong) => wrong.length === 0) ? [] : all.flat();
  }
  if ("const" in schema) return value === schema["const"] ? [] : [`${place} is not ${schema["const"]}`];
  const among = schema["enum"] as unknown[] | undefined;
  if (among) return among.includes(value) ? [] : [`${place} is none of ${among}`];
  const types = [schema["type"]].flat();
  const type = typeOf(value);
  if (!types.includes(type) && !(type === "integer" && types.includes("number"))) return [`${place} is ${type}`];
  if (Array.isArray(value)) {
    const items = schema["items"] as Schema | undefined;
    return items ? value.flatMap((item, i) => wrongIn(item, items, root, `${place}[${i}]`)) : [];
  }
  if (type !== "object") return [];
  const object = value as Record<string, unknown>;
  const known = (schema["properties"] ?? {}) as Record<string, Schema>;
  const missing = ((schema["required"] ?? []) as string[]).filter((name) => !(name in object));
  return [
    ...missing.map((name) => `${place}.${name} is missing`),
    ...Object.entries(object).flatMap(([name, field]) => {
      const rule = known[name] ?? schema["additionalProperties"];
      return rule ? wrongIn(field, rule as Schema, root, `${place}.${name}`) : [`${place}.${name}${UNKNOWN}`];
    }),
  ];
}

function defined(root: Schema, ref: string): Schema {
  return ref
    .replace("#/", "")
    .split("/")
    .reduce((at, name) => at[name] as Schema, root);
}

function typeOf(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  return Number.isInteger(value) ? "integer" : typeof value;
}
