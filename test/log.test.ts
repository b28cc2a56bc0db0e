import { expect, test } from "bun:test";
import { ROOT, run } from "./support/relay.ts";

test("a warning is printed once, on one line, however often there is reason for it", async () => {
  const script = `import { warn } from "${ROOT}/src/log.ts"; for (let n = 0; n < 3; n++) { warn("one"); warn("two"); }`;
  const { exitCode, stdout, stderr } = await run([process.execPath, "-e", script]);
  expect({ exitCode, stdout }).toEqual({ exitCode: 0, stdout: "" });
  expect(stderr).toBe("whisper-signaling: warning: one\nwhisper-signaling: warning: two\n");
});
