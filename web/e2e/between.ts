/**
 * A server between the browser and the cloud that can lie: it passes everything
 * on, and changes parts, epochs and live messages as a story tells it to. The
 * line can also be cut, and made slow.
 */
import { Agent, createServer, request, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { connect, type Socket } from 'node:net';
import { headEnd, readFrames, writeFrame, type Frame } from './frames';
import { split, track } from './lies';

/** Parts of one footage answer, or of one live message. */
export type PartLie = (parts: readonly Buffer[]) => readonly Buffer[];
/** The body of one answer of a Connect call. */
export type CallLie = (call: string, body: Buffer) => Buffer;

/** A file below /log/: its path there, and what it holds. */
export type FileLie = (path: string, body: Buffer) => Buffer;

const honestFile: FileLie = (_path, body) => body;
const honestParts: PartLie = (parts) => parts;
const honestCall: CallLie = (_call, body) => body;

export class Between {
  footage: PartLie = honestParts;
  live: PartLie = honestParts;
  calls: CallLie = honestCall;
  files: FileLie = honestFile;
  /** whether text messages of the live socket (heads among them) go on */
  text: (message: string) => boolean = () => true;
  /** bytes a second to each live viewer; null: as they come */
  rate: number | null = null;
  /** true: nobody gets through */
  down = false;
  /** the newest part of each track (hex) that came by */
  readonly latest = new Map<string, Buffer>();
  /** Hears everything that passes, in clear: heads and bodies of calls, and messages of sockets, both ways. */
  heard: (what: string, bytes: Buffer) => void = () => undefined;
  /** live sockets opened so far */
  joined = 0;
  readonly #cloud: URL;
  readonly #server: Server;
  readonly #agent = new Agent({ keepAlive: true });
  readonly #sockets = new Set<Socket>();
  readonly #lives = new Set<Socket>();

  private constructor(cloud: string) {
    this.#cloud = new URL(cloud);
    this.#server = createServer((req, res) => void this.#pass(req, res));
    this.#server.on('connection', (socket: Socket) => this.#keep(socket, this.#sockets));
    this.#server.on('upgrade', (req: IncomingMessage, socket: Socket) => this.#upgrade(req, socket));
  }

  /** Stands before the cloud at this origin, on a free loopback port. */
  static async start(cloud: string): Promise<Between> {
    const between = new Between(cloud);
    await new Promise<void>((resolve) => between.#server.listen(0, '127.0.0.1', resolve));
    return between;
  }

  get origin(): string {
    const address = this.#server.address();
    if (typeof address !== 'object' || address === null) throw new Error('between: not listening');
    return `http://127.0.0.1:${address.port}`;
  }

  /** From here on it passes everything on as it is. */
  honest(): void {
    [this.footage, this.live, this.calls, this.files, this.text, this.rate] = [honestParts, honestParts, honestCall, honestFile, () => true, null];
  }

  /** Ends every live line that is open now. */
  cut(): void {
    for (const socket of this.#lives) socket.destroy();
  }

  async stop(): Promise<void> {
    const over = new Promise((resolve) => this.#server.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    this.#agent.destroy();
    await over;
  }

  #keep(socket: Socket, set: Set<Socket>): void {
    set.add(socket);
    socket.once('close', () => set.delete(socket));
    socket.on('error', () => socket.destroy());
  }

  async #pass(req: IncomingMessage, res: ServerResponse): Promise<void> {
    if (this.down) {
      res.destroy();
      return;
    }
    try {
      const reply = await this.#ask(req);
      const path = req.url ?? '';
      const footage = path.startsWith('/v1/footage/');
      const call = path.startsWith('/latchkey.v1.');
      const file = path.startsWith('/log/');
      const headers = { ...reply.headers };
      this.heard(`answer head of ${path}`, Buffer.from(JSON.stringify(headers)));
      if (!footage && !call && !file) {
        res.writeHead(reply.statusCode ?? 502, headers);
        reply.pipe(res);
        return;
      }
      const body = Buffer.concat(await reply.toArray() as Buffer[]);
      if (call) this.heard(`answer to ${path}`, body);
      const honest = reply.statusCode !== 200;
      const told = honest ? body : footage ? Buffer.concat(this.footage(split(body))) : file ? this.files(path.slice('/log/'.length), body) : this.calls(path.slice(path.lastIndexOf('/') + 1), body);
      delete headers['transfer-encoding'];
      res.writeHead(reply.statusCode ?? 502, { ...headers, 'content-length': told.length });
      res.end(told);
    } catch {
      res.destroy();
    }
  }

  #ask(req: IncomingMessage): Promise<IncomingMessage> {
    // What is compressed cannot be changed here.
    const changed = /^\/(v1|log|latchkey\.v1)/.test(req.url ?? '') ? { 'accept-encoding': 'identity' } : {};
    return new Promise((resolve, reject) => {
      const { hostname, port } = this.#cloud;
      const up = request({ agent: this.#agent, hostname, port, method: req.method, path: req.url, headers: { ...req.headers, ...changed } }, resolve);
      up.once('error', reject);
      this.heard(`request head of ${req.url ?? ''}`, Buffer.from(`${req.method} ${req.url}\n${JSON.stringify(req.rawHeaders)}`));
      const sent: Buffer[] = [];
      req.on('data', (chunk: Buffer) => sent.push(chunk));
      req.once('end', () => this.heard(`request to ${req.url ?? ''}`, Buffer.concat(sent)));
      req.pipe(up);
    });
  }

  #upgrade(req: IncomingMessage, down: Socket): void {
    if (this.down) {
      down.destroy();
      return;
    }
    this.joined++;
    const up = connect(Number(this.#cloud.port), this.#cloud.hostname);
    this.#keep(up, this.#sockets);
    this.#keep(down, this.#lives);
    const headers = Object.entries(req.headers).filter(([name]) => name !== 'sec-websocket-extensions');
    up.write(`${req.method} ${req.url} HTTP/1.1\r\n${headers.map(([name, value]) => `${name}: ${String(value)}\r\n`).join('')}\r\n`);
    if (req.url === '/v1/live') {
      this.heard('socket head', Buffer.from(`${req.url}\n${JSON.stringify(req.rawHeaders)}`));
      this.#listen(down);
    }
    down.pipe(up);
    up.once('close', () => down.destroy());
    down.once('close', () => up.destroy());
    void this.#relay(up, down).catch(() => down.destroy());
  }

  /** Browser to server: passed on as it is, and heard in clear. */
  #listen(down: Socket): void {
    let said: Buffer = Buffer.alloc(0);
    down.on('data', (chunk: Buffer) => {
      const { frames, rest } = readFrames(Buffer.concat([said, chunk]));
      said = rest;
      for (const frame of frames) this.heard('socket message', frame.body);
    });
  }

  /** Server to browser, frame by frame, at most at the given rate. */
  async #relay(up: Socket, down: Socket): Promise<void> {
    let heard: Buffer = Buffer.alloc(0);
    let greeted = false;
    for await (const chunk of up) {
      heard = Buffer.concat([heard, chunk as Buffer]);
      if (!greeted) {
        const end = headEnd(heard);
        if (end === null) continue;
        down.write(heard.subarray(0, end));
        heard = heard.subarray(end);
        greeted = true;
      }
      const { frames, rest } = readFrames(heard);
      heard = rest;
      for (const frame of frames) for (const told of this.#tell(frame)) await this.#send(down, told);
    }
  }

  #tell(frame: Frame): readonly Buffer[] {
    if (frame.op === 'text') this.heard('socket answer', frame.body);
    if (frame.op === 'text') return this.text(frame.body.toString()) ? [frame.raw] : [];
    if (frame.op !== 'binary') return [frame.raw];
    this.latest.set(track(frame.body), Buffer.from(frame.body));
    return this.live([frame.body]).map((part) => (part === frame.body ? frame.raw : writeFrame(part)));
  }

  async #send(down: Socket, bytes: Buffer): Promise<void> {
    // A slow line: the next frame waits for the time that this one takes.
    if (this.rate !== null) await new Promise((resolve) => setTimeout(resolve, (bytes.length / (this.rate ?? Infinity)) * 1000));
    if (!down.write(bytes)) await new Promise<void>((resolve) => {
      down.once('drain', resolve);
      down.once('close', resolve);
    });
  }
}
