"""Completions for bash, zsh and fish, made from the command line itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidegate.cli.tree import Argument, Command, tree

if TYPE_CHECKING:
    import argparse

__all__ = ["script"]


def script(shell: str, parser: argparse.ArgumentParser) -> str:
    """What the shell is to read."""
    return {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell](tree(parser))


def _bash(top: Command) -> str:
    cases = []
    for command in top.all():
        words = [verb.name.rpartition(" ")[2] for verb in command.verbs]
        words += [choice for argument in command.positional for choice in argument.choices]
        words += [flag for option in command.options for flag in option.flags] + ["--help"]
        valued = [option for option in command.options if option.value]
        values = [
            f"        {'|'.join(option.flags)}) "
            f"_tidegate_value {option.completes or 'words'} {_shell(' '.join(option.choices))}; return ;;"
            for option in valued
        ]
        path = command.name.partition(" ")[2]
        cases.append(
            "\n".join(
                [
                    f"    {_shell(path)})",
                    *(["      case $before in", *values, "      esac"] if values else []),
                    f"      words={_shell(' '.join(words))} ;;",
                ]
            )
        )
    paths = " ".join(f"{_shell(command.name.partition(' ')[2])}" for command in top.all() if " " in command.name)
    body = "\n".join(cases)
    return f"""# Completions of tidegate for bash; made by `tidegate completion bash`.
_tidegate_value() {{
  local current=${{COMP_WORDS[COMP_CWORD]}}
  case $1 in
    file) mapfile -t COMPREPLY < <(compgen -f -- "$current"); compopt -o filenames ;;
    folder) mapfile -t COMPREPLY < <(compgen -d -- "$current"); compopt -o filenames ;;
    *) mapfile -t COMPREPLY < <(compgen -W "$2" -- "$current") ;;
  esac
}}

_tidegate() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}} path="" words="" word known
  COMPREPLY=()
  for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
    for known in {paths}; do
      if [[ ${{path:+$path }}$word == "$known" ]]; then path=$known; fi
    done
  done
  case $path in
{body}
  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
  if [[ ${{#COMPREPLY[@]}} -eq 0 && $current != -* ]]; then _tidegate_value file; fi
}}

complete -F _tidegate tidegate
"""


def _zsh(top: Command) -> str:
    functions = "\n".join(_zsh_function(command) for command in top.all())
    return f"""#compdef tidegate
# Completions of tidegate for zsh; made by `tidegate completion zsh`.
{functions}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _tidegate "$@"; else compdef _tidegate tidegate; fi
"""


def _zsh_function(command: Command) -> str:
    name = "_" + command.name.replace(" ", "_").replace("-", "_")
    specs = [_zsh_option(option, flag) for option in command.options for flag in option.flags]
    specs.append(_shell("--help[say what there is]"))
    if not command.verbs:
        specs += [_shell(f":{argument.value}:{_zsh_values(argument)}") for argument in command.positional]
        return f"{name}() {{\n  _arguments -s \\\n    " + " \\\n    ".join(specs) + "\n}\n"
    specs += [_shell("1: :->verb"), _shell("*:: :->rest")]
    verbs = "\n".join(f"        {_shell(f'{_last(verb)}:{verb.about}')}" for verb in command.verbs)
    rest = "\n".join(f"        {_last(verb)}) {name}_{_last(verb).replace('-', '_')} ;;" for verb in command.verbs)
    arguments = " \\\n    ".join(specs)
    return f"""{name}() {{
  local state line
  typeset -A opt_args
  _arguments -C \\
    {arguments}
  case $state in
    verb)
      local -a verbs=(
{verbs}
      )
      _describe -t verbs verb verbs ;;
    rest)
      case $line[1] in
{rest}
      esac ;;
  esac
}}
"""


def _zsh_option(option: Argument, flag: str) -> str:
    about = option.about.replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]").replace(":", "\\:")
    value = f":{option.value.replace(':', ' ')}:{_zsh_values(option)}" if option.value else ""
    return _shell(f"*{flag}[{about}]{value}")


def _zsh_values(argument: Argument) -> str:
    if argument.choices:
        return f"({' '.join(argument.choices)})"
    return {"file": "_files", "folder": "_files -/"}.get(argument.completes, "")


def _fish(top: Command) -> str:
    lines = ["# Completions of tidegate for fish; made by `tidegate completion fish`.", "complete -c tidegate -f"]
    for command in top.all():
        above = command.name.split(" ")[1:]
        names = " ".join(_last(verb) for verb in command.verbs)
        seen = [f"__fish_seen_subcommand_from {word}" for word in above]
        if above == []:
            seen = [f"not __fish_seen_subcommand_from {names}"]
        elif command.verbs:
            seen.append(f"not __fish_seen_subcommand_from {names}")
        when = _shell("; and ".join(seen))
        lines += [f"complete -c tidegate -n {when} -a {_last(verb)} -d {_shell(verb.about)}" for verb in command.verbs]
        for argument in command.positional:
            if argument.choices:
                lines.append(f"complete -c tidegate -n {when} -a {_shell(' '.join(argument.choices))}")
        for option in command.options:
            flags = " ".join(f"-l {flag[2:]}" if flag.startswith("--") else f"-s {flag[1:]}" for flag in option.flags)
            value = " -r" if option.value else ""
            value += f" -a {_shell(' '.join(option.choices))}" if option.choices else ""
            value += " -F" if option.completes else ""
            lines.append(f"complete -c tidegate -n {when} {flags}{value} -d {_shell(option.about)}")
    return "\n".join(lines) + "\n"


def _last(command: Command) -> str:
    return command.name.rpartition(" ")[2]


def _shell(text: str) -> str:
    """One word of a shell's."""
    return "'" + text.replace("'", "'\\''") + "'"
