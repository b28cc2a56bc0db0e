/** Where an engine is, as an operator writes it. */
import { expect, test } from "bun:test";
import { readEngine } from "../../src/program/engines.ts";

const NOTHING = { path: null, isTls: false, user: null, database: 0 };
const SOCKET = { ...NOTHING, host: "", port: 0 };

test.each([
  ["redis://10.0.0.9", { ...NOTHING, host: "10.0.0.9", port: 6_379 }],
  ["redis://engine.example.org:7000/3", { ...NOTHING, host: "engine.example.org", port: 7_000, database: 3 }],
  ["rediss://relay@engine/", { ...NOTHING, host: "engine", port: 6_379, isTls: true, user: "relay" }],
  ["redis://[fd00::1]:6380", { ...NOTHING, host: "fd00::1", port: 6_380 }],
  ["unix:///run/valkey.sock", { ...SOCKET, path: "/run/valkey.sock" }],
  ["unix:///run/a%20b.sock?user=relay&db=2", { ...SOCKET, path: "/run/a b.sock", user: "relay", database: 2 }],
])("%s is taken", (text, engine) => {
  expect(readEngine(text)).toEqual(engine);
});

test.each([
  ...["", "redis://", "10.0.0.9:6379", "http://10.0.0.9", "redis://user:word@10.0.0.9", "redis://:word@10.0.0.9"],
  ...["redis://10.0.0.9/db", "redis://10.0.0.9?db=1", "redis://10.0.0.9#1", "unix://", "unix:///", "unix://host/path"],
  ...["unix:///path?db=-1", "unix:///path?db=x", "redis://10.0.0.9:70000"],
  ...["redis://10.0.0.9:0", "redis://us%zz@10.0.0.9", "unix:///a%ff", "unix:///path?user=relay&database=1"],
])("%j is not", (text) => {
  expect(readEngine(text)).toBeNull();
});
