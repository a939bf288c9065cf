/** People and hubs by a name, also when none is known. */
import { m } from '../messages';
import { mp } from '../messages-people';
import type { Hub, Person } from '../types';
import { moment } from '../when';

export const personName = (person: Person): string => person.name || mp.people.unnamed;
/** Since when somebody's keys are others than those he came with; empty when they are not. */
export const newKeysLine = ({ newKeys }: Person, now: number): string => (newKeys === null ? '' : mp.newKeys.line(moment(newKeys.at, now), newKeys.byCode));
export const hubName = (hub: Hub): string => hub.name || m.line.hubFallback;
