/**
 * deploy/kubernetes.yml: that Kubernetes' own schema takes each object, with no field that it doesn't know, and that the
 * objects agree with the image and the options. The types of kubernetes-types are made from that schema; tsc compares.
 */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import type { Deployment } from "kubernetes-types/apps/v1";
import type { Service } from "kubernetes-types/core/v1";
import type { NetworkPolicy } from "kubernetes-types/networking/v1";
import packageJson from "../../package.json" with { type: "json" };
import { readConfig } from "../../src/program/config.ts";
import { newFolder } from "../support/machines/folder.ts";
import { ROOT, run } from "../support/relays/relay.ts";

const read = (path: string) => readFileSync(resolve(ROOT, path), "utf8");
const objects = Bun.YAML.parse(read("deploy/kubernetes.yml")) as [Deployment, Service, NetworkPolicy];
const [deployment, service, policy] = objects;
const pod = deployment.spec?.template.spec;
const [container] = pod?.containers ?? [];
const config = readConfig(container?.args ?? [], {});

/** What tsc says of objects as values of the schema's types. */
async function judged(texts: readonly object[]): Promise<string> {
  await using folder = await newFolder();
  const types = ["apps/v1 Deployment", "core/v1 Service", "networking/v1 NetworkPolicy"].map((line) => line.split(" "));
  const lines = texts.map((object, i) => {
    const [module, type] = types[i] ?? [];
    return `import type { ${type} } from "kubernetes-types/${module}"; export const a${i}: ${type} = ${JSON.stringify(object)};\n`;
  });
  await folder.write("objects.ts", lines.join(""));
  const paths = { "kubernetes-types/*": [resolve(ROOT, "node_modules/kubernetes-types/*")] };
  const compilerOptions = { noEmit: true, strict: true, skipLibCheck: true, module: "Preserve", types: [], paths };
  await folder.write("tsconfig.json", JSON.stringify({ compilerOptions, files: ["objects.ts"] }));
  const { stdout } = await run([resolve(ROOT, "node_modules/.bin/tsc"), "--pretty", "false", "-p", folder.path], {
    PATH: `${process.env["PATH"]}`,
  });
  return stdout;
}

test("every object is one to Kubernetes' schema, which knows each field of it", async () => {
  expect(objects.length).toBe(3);
  expect(await judged(objects)).toBe("");
});

test("a field that is misspelt, or of another type, would be found", async () => {
  const text = JSON.stringify(deployment);
  const wrong = [
    text.replace("readOnlyRootFilesystem", "readOnlyRootFileSystem"),
    text.replace('"replicas":1', '"replicas":"1"'),
  ];
  for (const one of wrong) expect(await judged([JSON.parse(one)])).toMatch(/error TS2/);
});

test("the pod has no rights that the relay doesn't need", () => {
  expect(pod).toMatchObject({ enableServiceLinks: false, automountServiceAccountToken: false });
  const user = Number(/^USER (\d+):/m.exec(read("Dockerfile"))?.[1]);
  const seccompProfile = { type: "RuntimeDefault" };
  expect(pod?.securityContext).toEqual({ runAsNonRoot: true, runAsUser: user, runAsGroup: user, seccompProfile });
  expect(container?.securityContext).toEqual({
    ...{ allowPrivilegeEscalation: false, readOnlyRootFilesystem: true },
    capabilities: { drop: ["ALL"] },
  });
  expect(policy.spec?.policyTypes).toContain("Egress");
  expect(policy.spec?.egress).toBeUndefined();
});

test("its grace is longer than the relay drains, and its image is of this version", () => {
  expect((pod?.terminationGracePeriodSeconds ?? 0) * 1_000).toBeGreaterThan(config.drainMs);
  expect(container?.image).toBe(`whisper-signaling:${packageJson.version}`);
  expect(deployment.spec?.replicas).toBe(1);
});

test("probes, ports and selectors lead to what is there", () => {
  const ports = Object.fromEntries((container?.ports ?? []).map(({ name, containerPort }) => [name, containerPort]));
  expect(ports).toEqual({ ws: config.port, admin: config.admin?.port ?? 0 });
  const probes = [container?.livenessProbe, container?.startupProbe, container?.readinessProbe];
  expect(probes.map((probe) => [probe?.httpGet?.path, probe?.httpGet?.port])).toEqual([
    ["/livez", "admin"],
    ["/livez", "admin"],
    ["/health", "ws"],
  ]);
  const labels = deployment.spec?.template.metadata?.labels ?? {};
  expect(Object.keys(labels).length).toBeGreaterThan(0);
  for (const selector of [
    deployment.spec?.selector.matchLabels,
    service.spec?.selector,
    policy.spec?.podSelector.matchLabels,
  ])
    expect(selector).toEqual(labels);
  expect(service.spec?.ports?.map(({ targetPort }) => targetPort)).toEqual(["ws"]);
});
