/**
 * The bill of materials: what is shipped, and what only takes part in the making. It holds no time and no serial number,
 * so that it is the same whenever it is made.
 */
import { Enums, Models, Serialize, Spec } from "@cyclonedx/cyclonedx-library";
import packageJson from "../package.json" with { type: "json" };

/** Libraries that are in a binary, and what they do there. */
export const COMPILED_IN: Partial<Record<keyof typeof packageJson.devDependencies, string>> = {
  uplot: "draws the load tester's reports, in its binary only",
  uqr: "draws the QR code of the page that --demo serves; it runs in browsers, and never in the relay",
};

/** A file of the release. */
export interface Shipped {
  readonly file: string;
  readonly sha256: string;
}

/** As CycloneDX 1.6 writes it. */
export function billOfMaterials(shipped: readonly Shipped[]): string {
  const { name, version, description, license, engines, devDependencies } = packageJson;
  const { Component, ComponentRepository } = Models;
  const licenses = (id: string) => new Models.LicenseRepository([new Models.SpdxLicense(id)]);
  const purl = `pkg:generic/${name}@${version}`;
  const files = shipped.map(({ file, sha256 }) => {
    const hashes = new Models.HashDictionary([[Enums.HashAlgorithm["SHA-256"], sha256]]);
    return new Component(Enums.ComponentType.File, file, { bomRef: `file:${file}`, version, hashes });
  });
  const bunPurl = npmPurl("bun", engines.bun);
  const bun = new Component(Enums.ComponentType.Platform, "bun", {
    ...{ bomRef: bunPurl, version: engines.bun, purl: bunPurl, licenses: licenses("MIT") },
    scope: Enums.ComponentScope.Required,
    description: "the runtime, whole inside every binary; the libraries that it links are named in its own license",
    externalReferences: new Models.ExternalReferenceRepository([
      new Models.ExternalReference("https://bun.com/docs/project/license", Enums.ExternalReferenceType.License),
    ]),
  });
  const tools = Object.entries(devDependencies).map(([tool, version]) => {
    const use = new Map(Object.entries(COMPILED_IN)).get(tool);
    return new Component(Enums.ComponentType.Library, tool, {
      ...{ bomRef: npmPurl(tool, version), version, purl: npmPurl(tool, version) },
      scope: use ? Enums.ComponentScope.Required : Enums.ComponentScope.Excluded,
      description: use ?? "checks, tests or packs; nothing of it is in a binary",
    });
  });
  const inside = [bun, ...tools.filter(({ scope }) => scope === Enums.ComponentScope.Required)];
  const component = new Component(Enums.ComponentType.Application, name, {
    ...{ bomRef: purl, version, description, purl, licenses: licenses(license) },
    components: new ComponentRepository(files),
    dependencies: new Models.BomRefRepository(inside.map(({ bomRef }) => bomRef)),
  });
  const bom = new Models.Bom({
    metadata: new Models.Metadata({ component }),
    components: new ComponentRepository([bun, ...tools]),
  });
  const normalize = new Serialize.JSON.Normalize.Factory(Spec.Spec1dot6);
  return `${new Serialize.JsonSerializer(normalize).serialize(bom, { sortLists: true, space: 2 })}\n`;
}

function npmPurl(name: string, version: string): string {
  return `pkg:npm/${name.replace("@", "%40")}@${version}`;
}
