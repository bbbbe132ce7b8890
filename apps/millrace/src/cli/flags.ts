import { Option, type Command } from 'commander';
import type { Flag } from '#platform/settings.rows.js';

/** A setting as an option of a command. */
export function optionOf({ name, short, takes, many, about, hidden }: Flag): Option {
  const written = [short, takes === undefined ? `--${name}` : `--${name} ${takes}`].filter(
    (part) => part !== undefined,
  );
  // A sentence on a page of its own, a line in a list here.
  const option = new Option(written.join(', '), `${about.charAt(0).toLowerCase()}${about.slice(1).replace(/\.$/, '')}`);
  if (many) option.argParser((value: string, before: readonly string[] | undefined) => [...(before ?? []), value]);
  return hidden ? option.hideHelp() : option;
}

/** What was given on the command line, by name. Commander reads `--no-poll` as poll: false. */
export function given(command: Command, known: readonly Flag[]): Record<string, unknown> {
  const values = command.opts<Record<string, unknown>>();
  const attribute = (name: string) =>
    name.replace(/^no-/, '').replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
  return Object.fromEntries(
    known
      .filter(({ name }) => command.getOptionValueSource(attribute(name)) === 'cli')
      .map(({ name }) => [name, name.startsWith('no-') ? values[attribute(name)] === false : values[attribute(name)]]),
  );
}
