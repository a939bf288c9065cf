import '../ui/app.css';
import { mount } from 'svelte';
import { connectVerify } from './room';
import VerifyPage from './VerifyPage.svelte';

const target = document.getElementById('app');
if (target === null) throw new Error('verify: the page has no #app');
mount(VerifyPage, { target, props: { room: connectVerify() } });
