/** Whether passkeys can be offered: what every visit asks, apart from the room that uses them. */
import type { PasskeySupport } from './types';

/** Whether a passkey can open a vault here. */
export async function passkeySupport(): Promise<PasskeySupport> {
  if (!isSecureContext || typeof PublicKeyCredential === 'undefined' || !named(location.hostname)) return 'no';
  // Which of the extensions there are is told by newer browsers only; an older one is asked by trying.
  const can = await PublicKeyCredential.getClientCapabilities?.().catch(() => undefined);
  return can?.['extension:prf'] === false ? 'no-prf' : 'yes';
}

/** A passkey belongs to a name: an address of numbers has none. */
function named(host: string): boolean {
  return !host.startsWith('[') && !/^\d+(\.\d+){3}$/.test(host);
}
