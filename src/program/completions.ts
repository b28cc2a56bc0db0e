/**
 * What bash, zsh and fish offer after a program's name, made from its manual: subcommands, what they take, flags, and
 * the values that a flag can have. Pure.
 */
import { type Command, type Manual, manPage, optionsOf } from "./manual.ts";
import type { Option } from "./options.ts";

/** What a program can print of itself: a page for man(1) and what shells read. */
export const ITSELF = {
  man: manPage,
  "completion-bash": bashCompletion,
  "completion-zsh": zshCompletion,
  "completion-fish": fishCompletion,
} as const satisfies Record<string, (manual: Manual, version: string) => string>;

/** Flags of every program that are in no table. */
const GENERAL = { "--help": "how it is called, and its options", "--version": "its version" };

const isSwitch = ({ kind }: Option) => kind === "switch";
const isFile = ({ kind }: Option) => kind === "file" || kind === "secret-file";
const REPEATED: readonly Option["kind"][] = ["cidrs", "origins", "list", "stun-urls", "turn-urls", "engines"];
const isRepeated = ({ kind }: Option) => REPEATED.includes(kind);
const choicesOf = (option: Option) => (option.kind === "choice" ? option.choices : []);
const flagsOf = ({ options }: Command) => Object.values(options).map(({ flag }) => flag);
const named = ({ commands }: Manual) => commands.filter(({ name }) => name !== "");
const alone = ({ commands }: Manual) => commands.filter(({ name }) => name === "");
/** The name of a shell function for a program. */
const functionOf = ({ name }: Manual) => `_${name.replaceAll("-", "_")}`;

/** For bash, with or without the package bash-completion. */
export function bashCompletion(manual: Manual): string {
  const name = functionOf(manual);
  const options = optionsOf(manual);
  const files = options.filter(isFile).map(({ flag }) => flag);
  const others = options.filter((option) => !isFile(option) && !isSwitch(option) && choicesOf(option).length === 0);
  const offer = (words: readonly string[]) => `mapfile -t COMPREPLY < <(compgen -W '${words.join(" ")}' -- "$cur")`;
  return `# Completions of ${manual.name} for bash: put this into /etc/bash_completion.d/, or into a file that ~/.bashrc reads.
${name}() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD - 1]}
  # Readline takes --flag=value for three words.
  if [[ $cur == '=' ]]; then
    cur=''
  elif [[ $prev == '=' ]]; then
    prev=\${COMP_WORDS[COMP_CWORD - 2]}
  fi
  COMPREPLY=()
  case $prev in
${options
  .filter((option) => choicesOf(option).length > 0)
  .map((option) => `    ${option.flag})\n      ${offer(choicesOf(option))}\n      return\n      ;;\n`)
  .join("")}    ${files.join(" | ")})
      compopt -o filenames 2>/dev/null
      mapfile -t COMPREPLY < <(compgen -f -- "$cur")
      return
      ;;
    ${others.map(({ flag }) => flag).join(" | ")})
      return
      ;;
  esac
  if ((COMP_CWORD == 1)); then
    ${offer([...named(manual).map((command) => command.name), ...alone(manual).flatMap(flagsOf), ...Object.keys(GENERAL)])}
    return
  fi
  case \${COMP_WORDS[1]} in
${named(manual)
  .map((command) => `    ${command.name})\n${bashAfter(command, offer)}      ;;\n`)
  .join("")}${alone(manual)
  .map((command) => `    *)\n      ${offer(flagsOf(command))}\n      ;;\n`)
  .join("")}  esac
}
complete -F ${name} ${manual.name}
`;
}

function bashAfter(command: Command, offer: (words: readonly string[]) => string): string {
  const { takes } = command;
  const flags = `      ${offer(flagsOf(command))}\n`;
  if (takes === "text") return flags;
  if (takes !== "files")
    return `      if ((COMP_CWORD == 2)); then\n        ${offer(takes)}\n        return\n      fi\n${flags}`;
  const file = `        compopt -o filenames 2>/dev/null\n        mapfile -t COMPREPLY < <(compgen -f -- "$cur")\n        return\n`;
  return `      if [[ $cur != -* ]]; then\n${file}      fi\n${flags}`;
}

/** For zsh: a file that its fpath finds, named like the function. */
export function zshCompletion(manual: Manual): string {
  const name = functionOf(manual);
  const of = (command: Command, before: readonly string[]) =>
    ["_arguments -S", ...before, ...Object.values(command.options).map(zshOption)].join(" \\\n        ");
  const first = Object.entries(GENERAL).map(([flag, what]) => `'(- *)${flag}[${what}]'`);
  return `#compdef ${manual.name}
# Completions of ${manual.name} for zsh: a file named _${manual.name} in a folder of $fpath.
${name}() {
  local -a commands=(${named(manual)
    .map(({ name, what }) => `\n    ${zshWord(`${name}:${what}`)}`)
    .join("")}
  )
  if ((CURRENT == 2)); then
    _describe command commands
  fi
  case \${words[2]} in
${named(manual)
  .map((command) => `    ${command.name})\n      ${of(command, [`'1: :'`, zshTakes(command)])}\n      ;;\n`)
  .join("")}    *)
      ${
        alone(manual).length > 0
          ? alone(manual)
              .map((command) => of(command, first))
              .join("")
          : `_arguments ${first.join(" ")}`
      }
      ;;
  esac
}
${name} "$@"
`;
}

function zshTakes({ takes, operands }: Command): string {
  const label = /\w+/.exec(operands)?.[0].toLowerCase();
  if (takes === "files") return `'*:${label}:_files'`;
  return takes === "text" ? `'*:${label}:()'` : `'2:${label}:(${takes.join(" ")})'`;
}

function zshOption(option: Option): string {
  const choices = choicesOf(option);
  const value = choices.length > 0 ? `(${choices.join(" ")})` : isFile(option) ? "_files" : " ";
  const taken = isSwitch(option) ? "" : `:${option.flag.slice(2)}:${value}`;
  const form = isSwitch(option) ? option.flag : `${option.flag}=`;
  return zshWord(`${isRepeated(option) ? "*" : ""}${form}[${zshText(option.what)}]${taken}`);
}

/** Within the brackets of a specification. */
function zshText(text: string): string {
  return text.replaceAll(/[\\[\]:]/g, "\\$&");
}

/** One word of a script for bash or zsh. */
function zshWord(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** For fish. */
export function fishCompletion(manual: Manual): string {
  const say = (...words: readonly string[]) => `complete -c ${manual.name} ${words.join(" ")}\n`;
  const names = named(manual).map((command) => command.name);
  const only = (condition: string) => `-n ${fishWord(condition)}`;
  const seen = (command: Command) =>
    command.name === ""
      ? `not __fish_seen_subcommand_from ${names.join(" ")}`
      : `__fish_seen_subcommand_from ${command.name}`;
  return [
    `# Completions of ${manual.name} for fish: put this into ~/.config/fish/completions/${manual.name}.fish.\n`,
    say("-f"),
    ...Object.entries(GENERAL).map(([flag, what]) =>
      say(only("__fish_use_subcommand"), `-l ${flag.slice(2)} -d ${fishWord(what)}`),
    ),
    ...named(manual).map(({ name, what }) => say(only("__fish_use_subcommand"), `-a ${name} -d ${fishWord(what)}`)),
    ...named(manual).flatMap((command) => {
      const { takes } = command;
      if (takes === "text") return [];
      const words = takes === "files" ? "-F" : `-a ${fishWord(takes.join(" "))}`;
      const none = takes === "files" ? "" : `; and not __fish_seen_subcommand_from ${takes.join(" ")}`;
      return [say(only(`${seen(command)}${none}`), words)];
    }),
    ...optionsOf(manual).map((option) => {
      const users = manual.commands.filter(({ options }) =>
        Object.values(options).some(({ flag }) => flag === option.flag),
      );
      const where = users.length === manual.commands.length ? [] : [only(users.map(seen).join("; or "))];
      return say(...where, ...fishOption(option));
    }),
  ].join("");
}

function fishOption(option: Option): string[] {
  const choices = choicesOf(option);
  const value = isSwitch(option)
    ? ""
    : isFile(option)
      ? "-r -F"
      : choices.length > 0
        ? `-x -a ${fishWord(choices.join(" "))}`
        : "-x";
  return [`-l ${option.flag.slice(2)}`, ...(value ? [value] : []), `-d ${fishWord(option.what)}`];
}

/** One word of a script for fish, whose quotes know two escapes. */
function fishWord(text: string): string {
  return `'${text.replaceAll(/[\\']/g, "\\$&")}'`;
}
