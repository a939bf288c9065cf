/**
 * `npx vite`, then /dev.html?scenario=home: the pages over the home in memory. Not an entry of the build.
 * More: `pace=0` (things happen at once), `support=no-prf` (what passkeys can do here), `down` (the server is away).
 */
import '../ui/app.css';
import { mount } from 'svelte';
import App from './App.svelte';
import { FakeHome, type Scenario } from './fake';
import type { PasskeySupport } from './types';

const asked = new URLSearchParams(location.search);
const home = new FakeHome((asked.get('scenario') ?? 'home') as Scenario);
home.pace = Number(asked.get('pace') ?? 1);
home.support = (asked.get('support') ?? 'yes') as PasskeySupport;
home.down = asked.has('down');

const target = document.getElementById('app');
if (target === null) throw new Error('dev: the page has no #app');
mount(App, { target, props: { home } });
