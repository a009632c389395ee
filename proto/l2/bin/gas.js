// Prints the README's gas table from a run of test/Gas.t.sol.
const { spawnSync } = require('child_process');
const path = require('path');

const root = path.join(__dirname, '..');
const forge = path.join(root, 'node_modules/.bin/forge');
const run = spawnSync(forge, ['test', '--match-contract', 'Gas', '-vvvv'], { cwd: root, encoding: 'utf8' });
const rows = [...run.stdout.matchAll(/emit Used\(call: "([^"]*)", gas: (\d+)[^,]*, bytes_: (\d+)/g)];
if (run.status !== 0 || rows.length === 0) {
  console.error(run.stdout);
  process.exit(1);
}
console.log('| Call | Gas | Calldata, bytes |\n|---|---|---|');
rows.forEach(([, call, gas, bytes]) => console.log(`| ${call} | ${Number(gas).toLocaleString('en')} | ${bytes} |`));
