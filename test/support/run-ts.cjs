/**
 * Lets plain `node -r ./test/support/run-ts.cjs src/main.ts` run the service from its sources, compiled as the tests
 * compile them, so that a spec can start and stop the real process without a build.
 */
const { transformFileSync } = require('@swc/core');
const { transform } = require('../../jest.config.cjs');

const [, options] = Object.values(transform)[0];
require.extensions['.ts'] = (module, path) => {
  const { code } = transformFileSync(path, { ...options, swcrc: false, sourceMaps: false });
  module._compile(code, path);
};
