/**
 * Who may import whom: strictly downward, never sideways. test/architecture.spec.ts checks what paths alone cannot say.
 */
const LEVELS = [
  ['config', 'common'],
  ['encryption', 'database'],
  ['observability'],
  ['auth', 'klaviyo', 'jobs', 'health', 'docs', 'http'],
  ['audit', 'mirror'],
  ['connection'],
  ['groups'],
  ['lists', 'segments', 'campaigns', 'events'],
  ['profiles'],
  ['sync', 'webhooks'],
];
const FEATURES = LEVELS.slice(5).flat();
const folder = (names) => `^src/(${names.join('|')})/`;

const upwardOrSideways = LEVELS.flatMap((names, level) => {
  const above = LEVELS.slice(level + 1).flat();
  return names.map((name) => {
    // Within level 0 and 1 the two folders serve each other's types; from level 2 up a folder never enters its neighbour.
    const beside = level < 2 ? [] : names.filter((other) => other !== name);
    return {
      name: `${name}-imports-only-down`,
      severity: 'error',
      from: { path: `^src/${name}/` },
      to: { path: folder([...above, ...beside, 'nothing']) },
    };
  });
});

module.exports = {
  forbidden: [
    ...upwardOrSideways,
    {
      name: 'no-cycles',
      comment: 'Types may refer to each other; what runs may not.',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'features-enter-by-their-door',
      comment: 'From the connection up, another folder is entered only through its module or its service.',
      severity: 'error',
      from: { path: '^src/([^/]+)/' },
      to: { path: folder(FEATURES), pathNot: ['^src/$1/', '\\.(module|service)\\.ts$', '\\.entity\\.ts$'] },
    },
    {
      name: 'no-dev-packages-in-the-product',
      severity: 'error',
      from: { path: '^(src|migrations)/' },
      to: { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'], pathNot: 'node_modules/(pino-pretty|@types)/' },
    },
    {
      name: 'the-product-never-imports-tests-or-tools',
      severity: 'error',
      from: { path: '^(src|migrations)/' },
      to: { path: '^(test|ops)/' },
    },
    { name: 'no-unresolvable', severity: 'error', from: {}, to: { couldNotResolve: true } },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'require', 'node', 'default', 'types'],
    },
  },
};
