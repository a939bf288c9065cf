/**
 * The line to run on the hub's computer. `code` comes from our own alphabet and
 * `server` is an origin: neither holds anything a shell would read as its own.
 */
export function hubCommand(server: string, code: string): string {
  return `latchkey hub run --data latchkey-hub --server ${server} --pair ${code}`;
}
