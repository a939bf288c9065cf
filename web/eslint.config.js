import tseslint from 'typescript-eslint';

/** WebCrypto by any of its names: only src/crypto may say it. */
const cryptoRule = [
  'error',
  {
    selector: "MemberExpression[property.name='subtle']",
    message: 'Only src/crypto touches crypto.subtle: keys stay in its worker.',
  },
  {
    selector: "MemberExpression[computed=true][property.value='subtle']",
    message: 'Only src/crypto touches crypto.subtle: keys stay in its worker.',
  },
  {
    selector: "VariableDeclarator[init.name='crypto'] Property[key.name='subtle']",
    message: 'Only src/crypto touches crypto.subtle: keys stay in its worker.',
  },
];

export default tseslint.config(
  { ignores: ['dist/', 'node_modules/', 'src/api/', '.svelte-kit/'] },
  ...tseslint.configs.strict,
  ...tseslint.configs.stylistic,
  {
    files: ['**/*.ts'],
    rules: {
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/consistent-type-definitions': 'off',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      'no-restricted-syntax': cryptoRule,
      eqeqeq: 'error',
      'no-control-regex': 'error',
      'no-console': 'error',
    },
  },
  // Tests and the worker's own rooms may do what they are for.
  { files: ['src/crypto/**'], rules: { 'no-restricted-syntax': 'off' } },
  { files: ['e2e/**', '**/*.test.ts'], rules: { 'no-console': 'off', '@typescript-eslint/no-non-null-assertion': 'off' } },
  {
    // Pages talk to the home through its façade; keys and API stay behind it.
    files: ['src/owner/**/*.ts', 'src/ui/**/*.ts'],
    ignores: ['src/owner/home.ts'],
    rules: {
      'no-restricted-imports': ['error', { patterns: [{ group: ['**/crypto/*', '**/api/*', '@noble/*', '@hpke/*'], message: 'Use the façade in owner/home.ts.' }] }],
    },
  },
);
