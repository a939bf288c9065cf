import '../ui/app.css';
import { mount } from 'svelte';
import DeskPage from './DeskPage.svelte';
import { takeInvitation } from './invitation';
import { connectDesk } from './room';

// Before anything else of this page runs or asks for anything.
const fragment = takeInvitation();
const target = document.getElementById('app');
if (target === null) throw new Error('desk: the page has no #app');
mount(DeskPage, { target, props: { room: connectDesk(), fragment } });
