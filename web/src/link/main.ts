import '../ui/app.css';
import { mount } from 'svelte';
import { takeFragment } from './fragment';
import LinkPage from './LinkPage.svelte';
import { connectLink } from './room';

// Before anything else of this page runs or asks for anything.
const fragment = takeFragment();
const target = document.getElementById('app');
if (target === null) throw new Error('link: the page has no #app');
mount(LinkPage, { target, props: { room: connectLink(), fragment } });
