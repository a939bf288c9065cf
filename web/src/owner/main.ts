import '../ui/app.css';
import { mount } from 'svelte';
import App from './App.svelte';
import { connectHome } from './home';

const target = document.getElementById('app');
if (target === null) throw new Error('owner: the page has no #app');
mount(App, { target, props: { home: connectHome() } });

// The shell starts without a line; under a development server there is none to keep.
if (import.meta.env.PROD && 'serviceWorker' in navigator) {
  void navigator.serviceWorker.register('/sw.js').catch(() => undefined);
}
