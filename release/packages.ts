/**
 * The packages of a release: a .deb by dpkg-deb and an .rpm by rpmbuild, with both programs, the unit as `print systemd`
 * writes it, the unit's user, manual pages, completions, documents and what is in deploy/. Nothing in them says when or
 * where they were made.
 */
import { chmod, cp, mkdir, readdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import packageJson from "../package.json" with { type: "json" };
import { LOAD } from "../src/load/manual.ts";
import { PRINT_OPTIONS } from "../src/program/commands.ts";
import { ITSELF } from "../src/program/completions.ts";
import { givenOptions, readConfig } from "../src/program/config.ts";
import { RELAY } from "../src/program/help.ts";
import type { Manual } from "../src/program/manual.ts";
import { readOptions } from "../src/program/options.ts";
import { printed } from "../src/program/print.ts";

const { name: NAME, version: VERSION, description: DESCRIPTION, license: LICENSE } = packageJson;
/** Of the packages of one version; raised where only the packaging changes. */
const REVISION = "1";
const SUMMARY = "WebSocket signaling relay for WebRTC that stores nothing";
const MAINTAINER = "The whisper-signaling authors <nobody@whisper-signaling.invalid>";
/** All that is in a package says this time, since the true one would make each package another. */
const EPOCH_S = Date.UTC(2026, 0, 1) / 1_000;
/** zstd is quicker and smaller, and rpm 4.14 unpacks it; of Debian's tools not all do, so a .deb is gzip's. */
const RPM_PAYLOAD = "w6.zstdio";
const DEB_COMPRESSION = ["-Zgzip", "-z4"];
/** The relay behind a proxy on the same machine: the packaged unit, until the operator prints another one. */
const UNIT_OPTIONS = ["--host=127.0.0.1", "--admin=127.0.0.1:9000", "--trust-proxy=127.0.0.1"];
/** The least glibc that Bun's runtime asks for. */
const GLIBC = "2.17";
/** The folder that has the scripts of packages. */
const SCRIPTS = join(import.meta.dir, "package");
const ROOT = join(import.meta.dir, "..");

export interface Kind {
  readonly suffix: "deb" | "rpm";
  /** The program that makes it, and the package of Debian that has it. */
  readonly tool: string;
  readonly from: string;
  /** Its names for Node's. */
  readonly arch: Readonly<Record<string, string>>;
  fileName(arch: string, version: string): string;
  /** Where zsh looks for what a package brings. */
  readonly zsh: string;
  /** Adds what only this kind has to the tree of files. */
  finish(tree: string, version: string): Promise<void>;
  /** The command that makes `file` of the tree; `scratch` is a folder of its own. */
  command(tree: string, arch: string, version: string, file: string, scratch: string): Promise<string[]>;
}

const DEB: Kind = {
  suffix: "deb",
  ...{ tool: "dpkg-deb", from: "dpkg" },
  arch: { x64: "amd64", arm64: "arm64" },
  fileName: (arch, version) => `${NAME}_${version}-${REVISION}_${arch}.deb`,
  zsh: "usr/share/zsh/vendor-completions",
  async finish(tree, version) {
    const docs = join(tree, "usr/share/doc", NAME);
    const entry = `${NAME} (${version}-${REVISION}) unstable; urgency=medium\n\n  * What has changed is in changelog.gz.\n\n`;
    const date = new Date(EPOCH_S * 1_000).toUTCString().replace("GMT", "+0000");
    await write(join(docs, "changelog.Debian.gz"), gzipped(`${entry} -- ${MAINTAINER}  ${date}\n`));
    await write(join(docs, "copyright"), await copyright());
    await copy(join(SCRIPTS, "lintian-overrides"), join(tree, "usr/share/lintian/overrides", NAME));
  },
  async command(tree, arch, version, file) {
    const control = join(tree, "DEBIAN");
    for (const script of ["postinst", "prerm", "postrm"])
      await copy(join(SCRIPTS, script), join(control, script), 0o755);
    const files = (await filesIn(tree)).filter((path) => !path.startsWith("DEBIAN/"));
    const sums = files.map(async (path) => {
      const bytes = await Bun.file(join(tree, path)).bytes();
      return { bytes: bytes.length, line: `${Bun.MD5.hash(bytes, "hex")}  ${path}\n` };
    });
    const known = await Promise.all(sums);
    await write(join(control, "md5sums"), known.map(({ line }) => line).join(""));
    const size = known.reduce((sum, { bytes }) => sum + bytes, 0);
    const users = "systemd | systemd-standalone-sysusers | systemd-sysusers";
    await write(
      join(control, "control"),
      `Package: ${NAME}
Version: ${version}-${REVISION}
Architecture: ${arch}
Maintainer: ${MAINTAINER}
Installed-Size: ${Math.ceil(size / 1_024)}
Depends: libc6 (>= ${GLIBC}), init-system-helpers (>= 1.54~), ${users}
Section: net
Priority: optional
Description: ${SUMMARY}
 ${DESCRIPTION.replaceAll(". ", ".\n ")}
 .
 With it comes whisper-load, which loads such a relay and measures it.
`,
    );
    return ["dpkg-deb", "--root-owner-group", ...DEB_COMPRESSION, "--build", tree, file];
  },
};

const RPM: Kind = {
  suffix: "rpm",
  ...{ tool: "rpmbuild", from: "rpm" },
  arch: { x64: "x86_64", arm64: "aarch64" },
  fileName: (arch, version) => `${NAME}-${version}-${REVISION}.${arch}.rpm`,
  zsh: "usr/share/zsh/site-functions",
  finish: (tree) => copy(join(ROOT, "LICENSE"), join(tree, "usr/share/licenses", NAME, "LICENSE")),
  async command(tree, arch, version, file, scratch) {
    const files = (await filesIn(tree)).map((path) => `/${path}`);
    const folders = ["share", "share/doc", "share/licenses"].map((folder) => `%dir /usr/${folder}/${NAME}`);
    await write(
      join(scratch, "package.spec"),
      `Name: ${NAME}
Version: ${version}
Release: ${REVISION}
Summary: ${SUMMARY}
License: ${LICENSE}
Requires: systemd
%description
${DESCRIPTION} With it comes whisper-load, which loads such a relay and measures it.
%install
mkdir -p %{buildroot}
cp -a '${tree}'/. %{buildroot}
${await Bun.file(join(SCRIPTS, "scriptlets.spec")).text()}
%files
%defattr(-,root,root)
${[...folders, ...files].join("\n")}
`,
    );
    const defined = {
      ...{ _topdir: join(scratch, "rpm"), _rpmdir: dirname(file), _rpmfilename: file.slice(dirname(file).length + 1) },
      ...{ _binary_payload: RPM_PAYLOAD, _buildhost: "localhost", _build_id_links: "none" },
      ...{ use_source_date_epoch_as_buildtime: "1", clamp_mtime_to_source_date_epoch: "1" },
      ...{ debug_package: "%{nil}", __os_install_post: "%{nil}" },
    };
    const defines = Object.entries(defined).flatMap(([name, value]) => ["--define", `${name} ${value}`]);
    return ["rpmbuild", "--quiet", "-bb", "--target", `${arch}-linux`, ...defines, join(scratch, "package.spec")];
  },
};

export const KINDS: readonly Kind[] = [DEB, RPM];

/**
 * Makes one package.
 * @param arch of the binaries, as Node calls it
 * @param binaries the files of the release, by the names that they are installed under
 * @param scratch an empty folder
 * @param version another one, to try upgrades with
 * @returns the command that is to be run with this environment, and writes `file`
 */
export async function packing(
  kind: Kind,
  arch: string,
  binaries: Readonly<Record<string, string>>,
  file: string,
  scratch: string,
  version = VERSION,
): Promise<{ command: string[]; env: Record<string, string> }> {
  const tree = join(scratch, "tree");
  for (const [name, path] of Object.entries(binaries)) await copy(path, join(tree, "usr/bin", name), 0o755);
  for (const [path, content] of Object.entries(writtenFiles(kind))) await write(join(tree, path), content);
  for (const [path, source] of Object.entries(await copiedFiles()))
    await copy(join(ROOT, source), join(tree, path), source.endsWith(".sh") ? 0o755 : 0o644);
  await copy(join(SCRIPTS, "sysusers.conf"), join(tree, "usr/lib/sysusers.d", `${NAME}.conf`));
  await write(join(tree, "usr/share/doc", NAME, "changelog.gz"), gzipped(await textOf("CHANGELOG.md")));
  await kind.finish(tree, version);
  for (const folder of await foldersIn(tree)) await chmod(folder, 0o755); // whatever this user's umask is
  const command = await kind.command(tree, kind.arch[arch] ?? arch, version, file, scratch);
  const path = `${process.env["PATH"]}:/usr/sbin:/sbin`;
  return { command, env: { PATH: path, HOME: scratch, LC_ALL: "C.UTF-8", SOURCE_DATE_EPOCH: `${EPOCH_S}` } };
}

/** What the programs print of themselves, and the unit. */
function writtenFiles({ zsh }: Kind): Record<string, string | Uint8Array> {
  const unit = printed("systemd", {
    ...{ config: readConfig(UNIT_OPTIONS, {}), given: givenOptions(UNIT_OPTIONS, {}), nameOf: (flag) => flag },
    ...{ options: readOptions(PRINT_OPTIONS, [], {}), path: `/usr/bin/${NAME}` },
    library: new Map(), // no unit has it
  });
  const of = (manual: Manual, what: keyof typeof ITSELF) => ITSELF[what](manual, VERSION);
  const files = [RELAY, LOAD].flatMap((manual): [string, string | Uint8Array][] => [
    [`usr/share/man/man1/${manual.name}.1.gz`, gzipped(of(manual, "man"))],
    [`usr/share/bash-completion/completions/${manual.name}`, of(manual, "completion-bash")],
    [`${zsh}/_${manual.name}`, of(manual, "completion-zsh")],
    [`usr/share/fish/vendor_completions.d/${manual.name}.fish`, of(manual, "completion-fish")],
  ]);
  return {
    [`usr/lib/systemd/system/${NAME}.service`]: unit,
    ...Object.fromEntries(files),
  };
}

/** What is taken over from the source, but for what is of use in its folder only. */
async function copiedFiles(): Promise<Record<string, string>> {
  const isLeftOut = /(^|\/)(Caddyfile|compose\.yml|[^/]*\.service|[^/]*\.test\.yml)$/;
  const deploy = (await filesIn(join(ROOT, "deploy"))).filter((file) => !isLeftOut.test(file));
  const docs = (await readdir(join(ROOT, "docs"))).map((file) => `docs/${file}`);
  return Object.fromEntries([
    ...deploy.map((file) => [`usr/share/${NAME}/${file}`, `deploy/${file}`]),
    ...["README.md", ...docs].map((file) => [`usr/share/doc/${NAME}/${file}`, file]),
  ]);
}

/** In the form of https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/. */
async function copyright(): Promise<string> {
  const [title = "", , copyright = "", ...text] = (await textOf("LICENSE")).trim().split("\n");
  const indented = text.map((line) => ` ${line || "."}`).join("\n");
  return `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: ${NAME}
Comment: Both programs have the runtime Bun in them (MIT, with parts under LGPL-2 and
 others: https://bun.com/docs/project/license), and whisper-load has uPlot (MIT).

Files: *
${copyright.replace("(c) ", "").replace("Copyright", "Copyright:")}
License: ${title.includes("MIT") ? "Expat" : LICENSE}
${indented.replace(/^ \.\n/, "")}
`;
}

const textOf = (path: string) => Bun.file(join(ROOT, path)).text();

/** As `gzip -9n`: without a name and a time. */
function gzipped(text: string): Uint8Array {
  return gzipSync(text, { level: 9 });
}

async function write(path: string, content: string | Uint8Array): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await Bun.write(path, content);
  await chmod(path, 0o644);
}

async function copy(from: string, to: string, mode = 0o644): Promise<void> {
  await mkdir(dirname(to), { recursive: true });
  await cp(from, to);
  await chmod(to, mode);
}

/** The paths of all files in a folder, sorted. */
async function filesIn(folder: string): Promise<string[]> {
  return (await Array.fromAsync(new Bun.Glob("**/*").scan({ cwd: folder, dot: true }))).sort();
}

async function foldersIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return [
    folder,
    ...entries.filter((entry) => entry.isDirectory()).map(({ parentPath, name }) => join(parentPath, name)),
  ];
}
