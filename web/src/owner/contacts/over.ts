/** Trusted contacts, asked of the worker that owns the keys. */
import type { ContactCalls, HelpNews } from './calls';
import type { HelpInvite, HomeContacts, Kid, Result } from '../types';

/** What of the line to the worker this needs. */
export interface ContactLine {
  ask<K extends keyof ContactCalls>(op: K, args: ContactCalls[K]['args']): Promise<Result<ContactCalls[K]['value']>>;
  call<K extends keyof ContactCalls>(op: K, args: ContactCalls[K]['args'], news: (n: ContactCalls[K]['news']) => void): { id: number; reply: Promise<Result<ContactCalls[K]['value']>> };
  send(message: { readonly kind: 'cancel'; readonly id: number }): void;
}

export function contactsOver(line: ContactLine): HomeContacts {
  return {
    contacts: () => line.ask('contacts', null),
    setContacts: (kids) => line.ask('setContacts', { kids }),
    removeContacts: () => line.ask('removeContacts', null),
    entrusted: () => line.ask('entrusted', null),
    help: (member) => help(line, member),
    claims: () => line.ask('claims', null),
    confirmClaim: (id) => line.ask('confirmClaim', { id }),
    stopClaim: (id) => line.ask('stopClaim', { id }),
    releaseShare: (id) => line.ask('releaseShare', { id }),
    comeback: () => line.ask('comeback', null),
    beginComeback: (a) => line.ask('beginComeback', a),
    meetContact: (a, cancel) => {
      const { id, reply } = line.call('meetContact', a, () => undefined);
      const tell = (): void => { line.send({ kind: 'cancel', id }); };
      cancel?.addEventListener('abort', tell, { once: true });
      if (cancel?.aborted === true) tell();
      return reply.finally(() => cancel?.removeEventListener('abort', tell));
    },
    finishComeback: () => line.ask('finishComeback', null),
    abandonComeback: () => line.ask('abandonComeback', null),
  };
}

/** Resolves when the link can be handed over; `digits` when somebody has used it. */
async function help(line: ContactLine, member: Kid): Promise<Result<HelpInvite>> {
  let coded: (news: HelpNews) => void = () => undefined;
  const link = new Promise<HelpNews>((resolve) => (coded = resolve));
  const { id, reply } = line.call('help', { member }, (news) => { coded(news); });
  const first = await Promise.race([link, reply]);
  if ('ok' in first) {
    if (!first.ok) return first;
    throw new Error('contacts: digits before the link');
  }
  const digits = reply.then((r): Result<string> => (r.ok ? { ok: true, value: r.value.digits } : r));
  return {
    ok: true,
    value: { ...first, digits, confirm: () => line.ask('confirmHelp', null), cancel: () => { line.send({ kind: 'cancel', id }); } },
  };
}
