// Compiles src/ to artifact/<Contract>.json (abi, bytecode, deployedBytecode): the files that are committed and that
// Rust embeds. Settings as in foundry.toml; no metadata, so the same source always gives the same bytes.
// Fails when a contract is too large, or holds an opcode that a London chain lacks or that these contracts must
// never need. `--check` writes nothing and fails when the committed files differ from what the sources give.
const fs = require('fs');
const path = require('path');
const solc = require('solc');

const LIMIT = 24576;
const FORBIDDEN = {
  0x1e: 'CLZ', 0x49: 'BLOBHASH', 0x4a: 'BLOBBASEFEE', 0x5c: 'TLOAD', 0x5d: 'TSTORE', 0x5e: 'MCOPY', 0x5f: 'PUSH0',
  0xf2: 'CALLCODE', 0xf4: 'DELEGATECALL', 0xff: 'SELFDESTRUCT',
};

function forbidden(hex) {
  const code = Buffer.from(hex, 'hex');
  const found = {};
  for (let i = 0; i < code.length; i++) {
    const op = code[i];
    if (FORBIDDEN[op]) found[FORBIDDEN[op]] = (found[FORBIDDEN[op]] || 0) + 1;
    if (op >= 0x60 && op <= 0x7f) i += op - 0x5f; // skip the data of PUSH1..PUSH32
  }
  return found;
}

const check = process.argv.includes('--check');
const root = path.join(__dirname, '..');
const sources = {};
for (const f of fs.readdirSync(path.join(root, 'src')).sort()) {
  sources['src/' + f] = { content: fs.readFileSync(path.join(root, 'src', f), 'utf8') };
}
// The embedded chain's worthless coin: its code alone is committed, in hexadecimal.
const PLAY = 'sandbox/PlayDollar.sol';
sources[PLAY] = { content: fs.readFileSync(path.join(root, PLAY), 'utf8') };
const output = JSON.parse(solc.compile(JSON.stringify({
  language: 'Solidity',
  sources,
  settings: {
    evmVersion: process.env.EVM_VERSION || 'london',
    optimizer: { enabled: true, runs: 200 },
    metadata: { bytecodeHash: 'none', appendCBOR: false },
    outputSelection: { '*': { '*': ['abi', 'evm.bytecode.object', 'evm.deployedBytecode.object'] } },
  },
})));
const problems = (output.errors || []).filter((e) => e.severity !== 'info');
problems.forEach((e) => console.error(e.formattedMessage));
if (problems.length) process.exit(1); // warnings too

// Writes a file, or holds it against what the sources give.
function keep(file, text) {
  if (!check) {
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(file, text);
  } else if (!fs.existsSync(file) || fs.readFileSync(file, 'utf8').trim() !== text.trim()) {
    console.error(`${file} is not what the sources give: npm run artifact`);
    bad = true;
  }
}

console.log(`solc ${solc.version()}`);
let bad = false;
for (const name of ['HashpitJudge', 'HashpitRegistry', 'HashpitVault']) {
  const c = output.contracts[`src/${name}.sol`][name];
  const runtime = c.evm.deployedBytecode.object;
  const found = Object.keys({ ...forbidden(runtime), ...forbidden(c.evm.bytecode.object) });
  const size = runtime.length / 2;
  const words = found.length ? `FORBIDDEN ${found.join(' ')}` : 'opcodes ok';
  console.log(`${name}: runtime ${size} of ${LIMIT} bytes, ${words}`);
  if (found.length || size > LIMIT) {
    bad = true;
    continue;
  }
  const file = path.join(root, 'artifact', name + '.json');
  keep(file, JSON.stringify({
    contractName: name,
    abi: c.abi,
    bytecode: { object: '0x' + c.evm.bytecode.object },
    deployedBytecode: { object: '0x' + runtime },
  }, null, 1) + '\n');
}
keep(path.join(root, PLAY.replace('.sol', '.hex')), output.contracts[PLAY].PlayDollar.evm.bytecode.object);
process.exit(bad ? 1 : 0);
