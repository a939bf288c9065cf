import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { emptyForm, isCameraUrl, splitLogin, toNewCamera } from './camera-form';
import type { Kid } from './types';

describe('isCameraUrl', () => {
  it('takes rtsp and rtsps with a host', () => {
    for (const url of ['rtsp://192.168.1.20/stream1', 'RTSPS://cam.local', ' rtsp://a:554/x?y=1 ', 'rtsp://u:p@h/s']) expect(isCameraUrl(url)).toBe(true);
  });
  it('refuses the rest', () => {
    for (const url of ['', 'http://x', 'rtsp://', 'rtsp:///x', 'rtsp://a b/', 'x rtsp://a']) expect(isCameraUrl(url)).toBe(false);
  });
});

describe('splitLogin', () => {
  it('moves a login out of the address, decoded', () => {
    const form = splitLogin({ ...emptyForm(), url: 'rtsp://ann:p%40ss:word@10.0.0.2/s' });
    expect(form).toMatchObject({ url: 'rtsp://10.0.0.2/s', user: 'ann', password: 'p@ss:word' });
  });
  it('does not overwrite the fields', () => {
    expect(splitLogin({ ...emptyForm(), url: 'rtsp://a:b@h/', user: 'root', password: 'x' })).toMatchObject({ user: 'root', password: 'x', url: 'rtsp://h/' });
  });
  it('never leaves a password in the address', () => {
    const word = fc.stringMatching(/^[A-Za-z0-9%!$&'()*+,;=]{1,12}$/);
    fc.assert(fc.property(word, word, (user, password) => {
      expect(splitLogin({ ...emptyForm(), url: `rtsp://${user}:${password}@host/s` }).url).toBe('rtsp://host/s');
    }));
  });
});

describe('toNewCamera', () => {
  it('leaves out what is empty', () => {
    const camera = toNewCamera({ ...emptyForm(), name: ' Porch ', url: 'rtsp://h/s' }, 'k' as Kid);
    expect(camera).toEqual({ hub: 'k', name: 'Porch', url: 'rtsp://h/s', mode: 'continuous', audio: true });
  });
});
