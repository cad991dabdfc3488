import js from '@eslint/js';
import { defineConfig, globalIgnores } from 'eslint/config';
import ts from 'typescript-eslint';

export default defineConfig(
  globalIgnores(['build', 'dist']),
  js.configs.recommended,
  {
    files: ['**/*.ts'],
    extends: [ts.configs.strictTypeChecked, ts.configs.stylisticTypeChecked],
    languageOptions: { parserOptions: { projectService: true } },
    rules: {
      'no-console': 'error', // it is quiet
      'no-restricted-globals': ['error', 'localStorage', 'sessionStorage'], // and keeps nothing
      '@typescript-eslint/no-confusing-void-expression': [
        'error',
        { ignoreArrowShorthand: true, ignoreVoidReturningFunctions: true },
      ],
      '@typescript-eslint/consistent-type-definitions': 'off', // a union is a type, and so may a shape be
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
    },
  },
  { files: ['src/bookmark.ts'], rules: { 'no-restricted-globals': 'off' } }, // what `persist` asks for
  { files: ['test/**'], rules: { '@typescript-eslint/no-floating-promises': 'off' } }, // of node's `test`
);
