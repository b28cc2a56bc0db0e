/** Runs another program to its end. What it prints is returned; where it fails, that is the error. */

/**
 * @param cwd the folder to run it in; this process's own where it is left out
 * @throws Error with all that it printed, where it ends with another exit code than 0
 */
export async function run(command: readonly string[], cwd?: string): Promise<string> {
  const child = Bun.spawn([...command], { ...(cwd && { cwd }), stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  const [stdout, stderr, exitCode] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  if (exitCode !== 0) throw new Error(`${command.join(" ")} ended with ${exitCode}:\n${stdout}${stderr}`);
  return stdout;
}
