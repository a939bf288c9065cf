/** The invitation's form as data. Pure. */
import type { NewPerson } from '../types';

/** As the radio buttons say it. */
export type HistoryChoice = 'none' | '7' | '30' | 'all';

export function toHistory(choice: HistoryChoice): NewPerson['history'] {
  return choice === 'none' || choice === 'all' ? choice : { days: Number(choice) };
}

/** "14:05", rounded up, so that 0:00 means over. */
export function leftOf(ms: number): string {
  const seconds = Math.max(0, Math.ceil(ms / 1000));
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
}
