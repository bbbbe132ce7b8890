import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { findProgram } from './programs.js';

export interface SystemUser {
  readonly uid: number;
  readonly gid: number;
}

export type CommandLine = readonly [file: string, ...args: string[]];

/**
 * The command line that runs a program as another user, and that ends it when its parent is gone unless it is to outlive it. The second is
 * only kept on Linux.
 */
export function guarded(command: CommandLine, user: SystemUser | undefined, outlives: boolean): CommandLine {
  const setpriv = process.platform === 'linux' ? findProgram('setpriv') : undefined;
  if (user && !setpriv)
    throw new Error('setpriv (Debian package util-linux) is needed to run a server as another user');
  if (!setpriv) return command;
  return [
    setpriv,
    ...(user ? [`--reuid=${user.uid}`, `--regid=${user.gid}`, '--clear-groups'] : []),
    ...(outlives ? [] : ['--pdeathsig=KILL']),
    '--',
    ...command,
  ];
}

/** A user of this machine. @throws when there is none of this name */
export function systemUser(name: string): SystemUser {
  const [uid, gid] = ['-u', '-g'].map((which) => Number(output('id', [which, name]).trim()));
  if (!uid || !gid) throw new Error(`this machine has no user ${name}`);
  return { uid, gid };
}

/** When a process began, in the system's words; undefined when there is no such process. */
export function beginningOf(pid: number): string | undefined {
  if (process.platform !== 'linux') return output('ps', ['-o', 'lstart=', '-p', String(pid)]).trim() || undefined;
  try {
    // The 22nd field; the second is the program's name in brackets, which may have spaces.
    return readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ')[19];
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** The processes that a process has started. */
export function childrenOf(parent: number): readonly number[] {
  const lines = output('ps', ['-A', '-o', 'pid=,ppid=']).trim().split('\n');
  return lines.flatMap((line) => {
    const [pid, of] = line.trim().split(/\s+/).map(Number);
    return of === parent && pid !== undefined ? [pid] : [];
  });
}

/** Sends a signal; one that is gone needs none. */
export function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

function output(command: string, args: readonly string[]): string {
  const { stdout, error } = spawnSync(command, args, { encoding: 'utf8' });
  if (error) throw error;
  return stdout;
}
