/**
 * What this program is: its version, and the commit that it was built from. The build puts that in (package.json,
 * `build`); a program that runs from its source has none.
 */
import { version } from "../../package.json" with { type: "json" };

declare const BUILD_COMMIT: string | undefined;

/** The commit's first digits, with `-dirty` where files had been changed since; null where nothing is known of it. */
export const COMMIT: string | null = (typeof BUILD_COMMIT === "string" && BUILD_COMMIT) || null;

/** What --version prints of the program of this name. */
export function versionLine(name: string): string {
  return `${name} ${version} (${COMMIT === null ? "" : `commit ${COMMIT}, `}Bun ${Bun.version})`;
}
