/**
 * The real binary as child processes, as people start it: built from this tree,
 * its keys and data in a folder of the story that goes afterwards.
 */
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';

const ROOT = join(import.meta.dirname, '../..');
const READY_MS = 60_000;

/** A file of the demo's own scenes. */
export const scene = (name: string): string => join(ROOT, 'internal/home/camera/scenes', name);

export class Latchkey {
  readonly dir: string;
  readonly #binary: string;
  readonly #children: ChildProcess[] = [];

  private constructor(dir: string, binary: string) {
    this.dir = dir;
    this.#binary = binary;
  }

  /** Makes the folder and the binary; LATCHKEY_BIN names one that is built already. */
  static async prepare(): Promise<Latchkey> {
    const dir = await mkdtemp(join(tmpdir(), 'latchkey-e2e-'));
    const given = process.env['LATCHKEY_BIN'];
    const binary = given ?? join(dir, 'latchkey');
    if (given === undefined) await promisify(execFile)('go', ['build', '-o', binary, './cmd/latchkey'], { cwd: ROOT });
    return new Latchkey(dir, binary);
  }

  /** Starts a command with keys in `who` and waits until it says something that matches. */
  start(who: string, args: readonly string[], ready: RegExp): Promise<RegExpExecArray> {
    return this.#spawn(this.#binary, args, this.#env(who), ready);
  }

  /** Runs a command with keys in `who` to its end; what it printed. Rejects when it fails. */
  async run(who: string, args: readonly string[]): Promise<string> {
    const { stdout } = await promisify(execFile)(this.#binary, args, { cwd: this.dir, env: this.#env(who), timeout: READY_MS });
    return stdout;
  }

  /** Builds a program of tools/ and starts it. */
  async startTool(name: string, args: readonly string[], ready: RegExp): Promise<RegExpExecArray> {
    const binary = join(this.dir, name);
    await promisify(execFile)('go', ['build', '-o', binary, `./tools/${name}`], { cwd: ROOT });
    return this.#spawn(binary, args, process.env, ready);
  }

  /** Starts one test of a Go package that plays a process, told by the environment what to do. */
  async startTest(pkg: string, name: string, env: Readonly<Record<string, string>>, ready: RegExp, readyMs = READY_MS): Promise<RegExpExecArray> {
    const binary = join(this.dir, `${name}.test`);
    await promisify(execFile)('go', ['test', '-c', '-o', binary, pkg], { cwd: ROOT });
    return this.#spawn(binary, ['-test.run', `^${name}$`, '-test.timeout', '0'], { ...process.env, TMPDIR: this.dir, ...env }, ready, readyMs);
  }

  #env(who: string): NodeJS.ProcessEnv {
    return { ...process.env, LATCHKEY_HOME: join(this.dir, who), TMPDIR: this.dir };
  }

  #spawn(binary: string, args: readonly string[], env: NodeJS.ProcessEnv, ready: RegExp, readyMs = READY_MS): Promise<RegExpExecArray> {
    const child = spawn(binary, args, { cwd: this.dir, env, stdio: ['ignore', 'pipe', 'pipe'] });
    this.#children.push(child);
    return said(child, ready, [basename(binary), ...args].join(' '), readyMs);
  }

  /** Ends what was started, last first, and removes the folder. */
  async stop(): Promise<void> {
    for (const child of this.#children.reverse()) await ended(child);
    await rm(this.dir, { recursive: true, force: true, maxRetries: 3 });
  }
}

/** Reads both outputs until a whole line matches; its words are the error when it ends first. */
function said(child: ChildProcess, ready: RegExp, name: string, readyMs: number): Promise<RegExpExecArray> {
  return new Promise((resolve, reject) => {
    let heard = '';
    const fail = (why: string): void => reject(new Error(`${name}: ${why}:\n${heard}`));
    const timer = setTimeout(() => fail(`did not say ${ready}`), readyMs);
    const hear = (chunk: Buffer): void => {
      heard += chunk.toString();
      const match = ready.exec(heard.slice(0, heard.lastIndexOf('\n') + 1));
      if (match === null) return;
      clearTimeout(timer);
      resolve(match);
    };
    child.stdout?.on('data', hear);
    child.stderr?.on('data', hear);
    // Not 'exit': what it said last may still be on its way then.
    child.once('close', (code) => {
      clearTimeout(timer);
      fail(`ended with ${code}`);
    });
  });
}

/** Ctrl-C, and a hard end when it does not listen. */
async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const over = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGINT');
  const timer = setTimeout(() => child.kill('SIGKILL'), 15_000);
  await over;
  clearTimeout(timer);
}

/** A loopback port that was free a moment ago. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => (typeof address === 'object' && address !== null ? resolve(address.port) : reject(new Error('no port'))));
    });
  });
}
