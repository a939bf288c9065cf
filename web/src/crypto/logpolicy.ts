/** Which public log a household holds its server to (docs/spec/log.md, "Policy"). */
import { Policy } from '../ledger/policy';
import type { Api } from './api';
import { refuse } from './failure';

/**
 * The policy that the server names, if its operator and its log are those of
 * genesis; of a household founded without them, whatever it names. Asked once:
 * from then on the vault has it.
 */
export async function firstPolicy(api: Api, genesis: { readonly operator: string | null; readonly log: string | null }): Promise<string> {
  const policy = new Policy(await api.logPolicy());
  const other = (genesis.operator !== null && genesis.operator !== policy.operator) || (genesis.log !== null && genesis.log !== policy.origin);
  if (other) throw refuse('log policy: the server names another operator or another public log than this household was founded with');
  return policy.text;
}
