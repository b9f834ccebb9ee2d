/** Imported first by every script here: says in one sentence what an older Node would tell in riddles. */
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < 24 || (major === 24 && minor < 9)) {
  process.stderr.write(
    `This needs Node 24.9 or later and runs on ${process.version}: use the npm scripts (npm start), which bring their own after npm ci, or install Node 24.\n`,
  );
  process.exit(1);
}
