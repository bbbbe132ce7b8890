/** The arrows of docs/ARCHITECTURE.md: apps -> ports, protocol -> core; adapters -> schemas -> ports -> core; only platform knows adapters. */
export default {
  forbidden: [
    {
      name: 'no-circular',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'core-is-pure',
      severity: 'error',
      comment: 'The core does no I/O.',
      from: { path: '^libs/core/src', pathNot: '\\.test\\.ts$' },
      to: { dependencyTypes: ['core'], pathNot: '^(node:)?crypto$' },
    },
    {
      name: 'core-knows-no-one',
      severity: 'error',
      from: { path: '^libs/core/src', pathNot: '\\.test\\.ts$' },
      to: { path: '^(apps|libs/(protocol|ports|schemas|adapters|platform|testkit))' },
    },
    {
      name: 'protocol-knows-core',
      severity: 'error',
      from: { path: '^libs/protocol/src', pathNot: '\\.test\\.ts$' },
      to: { path: '^(apps|libs/(ports|schemas|adapters|platform|testkit))' },
    },
    {
      name: 'ports-know-core',
      severity: 'error',
      from: { path: '^libs/ports/src' },
      to: { path: '^(apps|libs/(schemas|adapters|platform|testkit|protocol))' },
    },
    {
      name: 'schemas-know-ports',
      severity: 'error',
      from: { path: '^libs/schemas/src', pathNot: '\\.test\\.ts$' },
      to: { path: '^(apps|libs/(adapters|platform|testkit|protocol))' },
    },
    {
      name: 'adapters-know-ports',
      severity: 'error',
      from: { path: '^libs/adapters', pathNot: '\\.test\\.ts$' },
      to: { path: '^(apps|libs/(platform|testkit))' },
    },
    {
      name: 'apps-name-ports',
      severity: 'error',
      from: { path: '^apps', pathNot: '\\.test\\.ts$' },
      to: { path: '^libs/adapters' },
    },
    {
      name: 'apps-keep-their-doors',
      severity: 'error',
      from: { path: '^apps/([^/]+)/', pathNot: '^apps/millrace/|\\.test\\.ts$' },
      to: { path: '^apps/', pathNot: '^apps/$1/' },
    },
    {
      name: 'product-knows-no-tests',
      severity: 'error',
      from: { path: '^(apps|libs/(core|protocol|ports|schemas|adapters|platform))', pathNot: '\\.test\\.ts$' },
      to: { path: '^libs/testkit' },
    },
  ],
  options: {
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    doNotFollow: { path: 'node_modules' },
    enhancedResolveOptions: {
      conditionNames: ['source', 'import', 'require', 'node', 'default'],
      exportsFields: ['exports'],
    },
  },
};
