import { createContext } from 'svelte';
import type { Household } from './household.svelte';
import type { Reach } from './reach.svelte';
import type { Home } from './types';

/** The one façade below the pages; set by App, read anywhere. */
export const [useHome, setHome] = createContext<Home>();
/** Whether the server answers; set by App. */
export const [useReach, setReach] = createContext<Reach>();
/** What is known of the signed-in household. */
export const [useHousehold, setHousehold] = createContext<Household>();
