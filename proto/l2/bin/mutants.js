// Breaks a contract in one place at a time, in a copy, and runs the tests: each mutant must be killed.
// Usage: node bin/mutants.js [part of a name | every n-th from the i-th: i/n]
const { spawnSync } = require('child_process');
const fs = require('fs');
const os = require('os');
const path = require('path');
const solc = require('solc');

const R = 'HashpitRegistry.sol';
const V = 'HashpitVault.sol';
const J = 'HashpitJudge.sol';
const L = 'Layout.sol';
const drop = (file, line) => [file, line, ''];
const MUTANTS = {
  'anchor may be skipped': [R, 'h.anchor != anchor + 1', 'h.anchor <= anchor'],
  'prev not linked': drop(R, 'if (h.prev != head) revert WrongPrev(h.prev, head);'),
  'epoch repeated': [R, 'h.epoch <= epoch', 'h.epoch < epoch'],
  'seq may fall': drop(R, 'if (h.seq < seq) revert Backwards("seq", h.seq, seq);'),
  'time may fall': drop(R, 'if (h.time < headerTime) revert Backwards("time", h.time, headerTime);'),
  'time from the future': drop(R, 'if (h.time > latest) revert Beyond("time", h.time, latest);'),
  'served exits fall': [R, 'h.forcedCount < exitsServed', 'false'],
  'exits served before they were asked': [R, 'h.forcedCount > exitsRequested', 'false'],
  'withdrawals fall': [R, 'h.withdrawCount < withdrawCount', 'false'],
  'withdrawn total falls': [R, 'a.withdrawTotal < withdrawTotal[a.asset]', 'false'],
  'deposit count falls': [R, 'h.depositCount < depositsCredited', 'false'],
  'deposits from the future': [R, 'if (h.depositCount > count)', 'if (false)'],
  'deposit chain not checked': drop(R, 'if (h.depositAcc != acc) revert WrongDepositAcc(h.depositAcc, acc);'),
  'tip not checked': [R, 'totals) != acc) {', 'totals) != acc && false) {'],
  'no conservation': drop(R, 'if (out != credited[i]) revert NotConserved(a.asset, out, credited[i]);'),
  'asset of another place': [R, 'a.asset != uint16(assetWord >> (16 * (i + 1)))', 'false'],
  'total not checked': drop(R, 'if (sum != stated) revert WrongTotal(asset, sum, stated);'),
  'withdrawals root not checked': drop(R, 'if (w != a.withdrawRoot) revert WrongRoot(w, a.withdrawRoot);'),
  'state root not checked': drop(R, 'if (state != h.stateRoot) revert WrongRoot(state, h.stateRoot);'),
  'post after a freeze': [R, 'bytes calldata signatures) external {\n        if (frozen) revert IsFrozen();', 'bytes calldata signatures) external {'],
  'quorum of fewer': [R, 'n < threshold || ', ''],
  'high s': drop(R, 'if (uint256(s) > HALF_ORDER) revert HighS(i);'),
  'one signer twice': [R, 'signer <= last', 'signer < last'],
  'stranger signs': [R, ' || signerIn[signer] != signerSet + 1', ''],
  'old signers sign': [R, 'signerIn[signer] != signerSet + 1', 'signerIn[signer] == 0'],
  'window without time': [R, 'when.time >= uint256(since.time) + time && ', ''],
  'window without blocks': [R, ' && when.number >= uint256(since.number) + blocks', ''],
  'payable inside the window': drop(R, 'if (!_passed(stamp, windowTime, windowBlocks, _now())) revert NotFinal(number);'),
  'payable while paused': drop(R, 'if (block.timestamp < pausedUntil) revert Paused(pausedUntil);'),
  'payable after a freeze, dropped': drop(R, 'if (number > settledAnchor) revert Dropped(number);'),
  'payable before settlement': drop(R, 'if (!settled) revert NotFrozen();'),
  'exit for nothing': drop(R, 'if (msg.value != exitFee) revert WrongFee(msg.value, exitFee);'),
  'exits per block': [R, '++exitsInBlock > exitsPerBlock || ', ''],
  'exits open': [R, ' || exitsRequested - exitsServed >= exitsOpen', ''],
  'fee back twice': drop(R, 'feeReturned[id] = true;'),
  'fee of a served exit': [R, 'id < exitsServed || id < feesSwept || ', ''],
  'fees swept twice': drop(R, 'feesSwept = upTo;'),
  'silence at once': [R, 'silenceTime, silenceBlocks', 'windowTime, windowBlocks'],
  'served exit freezes': [R, 'if (id < exitsServed) revert ExitServed(id);', ''],
  'exit before its deadline': [R, 'exitTime, exitBlocks', 'windowTime, windowBlocks'],
  'equivocation with itself': [R, ' || ha == hb', ''],
  'equivocation over two numbers': [R, 'a.anchor != b.anchor || ', ''],
  'equivocation of a void header': drop(R, 'if (!_depositsAreHere(a) || !_depositsAreHere(b)) revert NotContradicting();'),
  'equivocation half signed': drop(R, '_checkQuorum(_anchorDigest(hb), signaturesB);'),
  'equivocation other half': drop(R, '_checkQuorum(_anchorDigest(ha), signaturesA);'),
  'anyone judges': drop(R, 'if (msg.sender != judge) revert NotJudge();'),
  'anyone freezes': [R, 'function guardianFreeze() external {\n        if (msg.sender != guardian) revert NotGuardian();', 'function guardianFreeze() external {'],
  'pause without end': drop(R, 'if (lastPause != 0 && block.timestamp < uint256(lastPause) + pauseEvery) revert NotYet();'),
  'settles twice': drop(R, 'if (settled) revert AlreadySettled();'),
  'settles by the present clock': [R, 'Layout.Posted(frozenAt, frozenBlock));', '_now());'],
  'settles inside the window': [R, 'if (h.anchor != 0 && !_passed(stamp, windowTime, windowBlocks, when)) revert NotFinal(h.anchor);', ''],
  'settles an old one': drop(R, 'if (_passed(nextAt, windowTime, windowBlocks, when)) revert NotNewestFinal(h.anchor);'),
  'rotation by a minority': drop(R, '_checkQuorum(rotationDigest(signers, k, guardian_), signatures);'),
  'rotation at once': drop(R, 'if (!_passed(proposed, rotationTime, rotationBlocks, _now())) revert NotYet();'),
  'rotation twice': [R, '_needNewestFinal(h, stamp, next, nextAt, _now());\n        pendingRotation = 0;', '_needNewestFinal(h, stamp, next, nextAt, _now());'],
  'rotation keeps what is pending': drop(R, 'delete committed[n];'),
  'rotation keeps signatures': drop(R, '++signerSet;'),
  'rotation delay unchecked': [R, 's.rotation.time <= least', 'false'],
  'signers in any order': drop(R, 'if (i != 0 && signers[i] <= signers[i - 1]) revert BadSigner(i);'),
  'foreign vault': drop(R, 'if (address(vault_.registry()) != address(this)) revert NotThisRegistry(address(vault_.registry()));'),
  'dust accepted': drop(V, 'if (coins % a.scale != 0) revert NotMultipleOfScale(coins, a.scale);'),
  'minimum ignored': [V, 'units < a.minDeposit || ', ''],
  'token that takes a fee': drop(V, 'if (arrived != amount) revert TokenTookFee(arrived, amount);'),
  'token that lies': [V, ' && (out.length == 0 || (out.length == 32 && bytes32(out) == bytes32(uint256(1))))', ''],
  'silent token refused': [V, 'out.length == 0 || ', ''],
  'deposit after a freeze': drop(V, 'if (registry.frozen()) revert Frozen();'),
  'native coin for a token': drop(V, 'if (a.token != address(0)) revert WrongCoin(msg.value);'),
  'no lock': drop(V, 'if (lock != 1) revert Reentered();'),
  'header not asked about': [V, 'registry.requirePayable(h.anchor, Layout.headerHash(h), stamp);\n        Layout.AssetLine calldata line = _line(h, place, w.asset);', 'Layout.AssetLine calldata line = _line(h, place, w.asset);'],
  'escape header not asked about': [V, 'registry.requirePayable(h.anchor, Layout.headerHash(h), stamp);\n        Layout.AssetLine calldata line = _line(h, place, l.asset);', 'Layout.AssetLine calldata line = _line(h, place, l.asset);'],
  'withdrawal root': drop(V, 'if (root != line.withdrawRoot) revert WrongRoot(root, line.withdrawRoot);'),
  'withdrawal not issued': drop(V, 'if (w.id >= h.withdrawCount) revert NotIssued(w.id, h.withdrawCount);'),
  'withdrawal of another asset': [V, ' || h.assets[place].asset != id', ''],
  'paid twice': drop(V, 'bits[id >> 8] |= bit;'),
  'more than issued': drop(V, 'if (uint256(c.claimed) + w.amount > c.issued) revert MoreThanIssued(uint256(c.claimed) + w.amount, c.issued);'),
  'escape before settlement': [V, 'Layout.Node[] calldata path\n    ) external once {\n        if (!registry.settled()) revert NotSettled();', 'Layout.Node[] calldata path\n    ) external once {'],
  'escape with another header': drop(V, 'if (h.anchor != registry.settledAnchor()) revert NotSettledHeader(h.anchor, registry.settledAnchor());'),
  'escape root': drop(V, 'if (root != open.roots[place]) revert WrongRoot(root, open.roots[place]);'),
  'escape opening': drop(V, 'if (state != h.stateRoot) revert WrongRoot(state, h.stateRoot);'),
  'escape to nobody': drop(V, 'if (l.owner == address(0)) revert ZeroAddress();'),
  'escape forgets locked': [V, 'uint128 amount = l.available + l.locked;', 'uint128 amount = l.available;'],
  'refund of a credited deposit': drop(V, 'if (id < credited) revert DepositCredited(id, credited);'),
  'refund of anything': drop(V, 'if (id >= depositCount || link != depositAccAt[id + 1]) revert WrongDeposit(id);'),
  'refund twice': drop(V, '_spend(refunded, id);'),
  'release twice': drop(V, 'delete due[id];'),
  'release early': drop(V, 'if (block.timestamp < d.payableAt) revert NotYet(d.payableAt);'),
  'release while paused': drop(V, 'if (block.timestamp < until) revert Paused(until);'),
  'cap ends with the freeze': [V, 'block.timestamp >= uint256(registry.frozenAt()) + capTail', 'true'],
  'cap never ends': [V, 'block.timestamp < d.payableAt && block.timestamp < tail', 'block.timestamp < d.payableAt'],
  'no cap': [V, 'clock <= block.timestamp + 1 days', 'true'],
  'cap forgets': drop(V, 'capClock[id] = clock;'),
  'collect twice': drop(V, 'owed[id][who] = 0;'),
  'refused coins lost': drop(V, 'owed[id][to] += amount;'),
  'false exit by a stranger': [J, 'if (l.index != r.account || l.owner != r.owner) revert NotTheOwner();\n        if (l.closed', 'if (l.closed'],
  'closed is enough': ['HashpitJudge.sol', 'l.closed && uint256(l.available) + l.locked == 0', 'l.closed'],
  'empty is enough': ['HashpitJudge.sol', 'l.closed && uint256(l.available) + l.locked == 0', 'uint256(l.available) + l.locked == 0'],
  'any claim': [J, ' || before.forcedCount > id', ''],
  'claim before it was made': drop(J, 'if (claim.forcedCount <= id) revert NotFirstClaim(id);'),
  'claim not linked': [J, 'claim.prev != Layout.headerHash(before) || ', ''],
  'dispute by a stranger': drop(J, 'if (msg.sender != r.owner) revert NotTheOwner();'),
  'dispute twice': drop(J, 'if (disputed[once]) revert NothingWrong();'),
  'dispute of an empty account': drop(J, 'if (uint256(l.available) + l.locked == 0) revert NothingWrong();'),
  'answer with an old withdrawal': drop(J, 'if (root != d.beforeRoot) revert WrongRoot(root, d.beforeRoot);'),
  'answer with anything': drop(J, 'if (root != d.claimRoot) revert WrongRoot(root, d.claimRoot);'),
  'answer to somebody else': [J, 'w.to != d.owner || ', ''],
  'answer leaves it open': drop(J, 'delete disputes[key];'),
  'unanswered at once': [J, 'if (!time || ', 'if ('],
  'unanswered without blocks': [J, ' || block.number < uint256(d.filed.number) + registry.exitBlocks()', ''],
  'true sum freezes': drop(J, 'if (uint256(kids[0].sum) + kids[1].sum == stated) revert NothingWrong();'),
  'true balance freezes': drop(J, 'if (uint256(l.available) + l.locked == stated) revert NothingWrong();'),
  'true withdrawal freezes': drop(J, 'if (w.amount == stated) revert NothingWrong();'),
  'balanced contract freezes': drop(J, 'if (c.long == c.short) revert NothingWrong();'),
  'root states anything': drop(J, 'if (top.long != c.long || top.short != c.short) revert WrongLots(top.long, top.short);'),
  'contract not in the tree': drop(J, 'if (root != open.positionsRoot) revert WrongRoot(root, open.positionsRoot);'),
  'bad sum anywhere': drop(J, 'if (root != want) revert WrongRoot(root, want);'),
  'header not committed': [J, 'registry.committed(number) != Layout.commitment(header, stamp)', 'false'],
  'node hides a sum': [L, 'abi.encodePacked(a, sa, b, sb, tag)', 'abi.encodePacked(a, sa, b, tag)'],
  'any depth': drop(L, 'if (length != DEPTH) revert WrongDepth(length);'),
  'any index': [L, 'path[i].sum;\n            index >>= 1;\n        }\n        if (index != 0) revert IndexTooLarge(index);', 'path[i].sum;\n            index >>= 1;\n        }'],
};

const root = path.join(__dirname, '..');
const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'mutants-'));
for (const d of ['src', 'test', 'bin', 'out', 'cache']) {
  if (fs.existsSync(path.join(root, d))) fs.cpSync(path.join(root, d), path.join(dir, d), { recursive: true });
}
fs.copyFileSync(path.join(root, 'foundry.toml'), path.join(dir, 'foundry.toml'));
fs.symlinkSync(path.join(root, 'node_modules'), path.join(dir, 'node_modules'));

/// Exit status and the names of the broken tests.
function test() {
  const forge = path.join(root, 'node_modules/.bin/forge');
  const run = spawnSync(forge, ['test', '--no-match-contract', 'Gas'], { cwd: dir, encoding: 'utf8' });
  const broken = ((run.stdout || '').match(/\[FAIL[^\n]*?\] (\w+)/g) || []).map((l) => l.split(' ').pop());
  return { ok: run.status === 0, broken: [...new Set(broken)] };
}

/// Compiles the sources with one of them changed and puts the code where forge finds what it deploys: the tests
/// are not compiled again, which would take most of the time. False if it does not compile.
function put(file, text) {
  const sources = {};
  for (const f of fs.readdirSync(path.join(root, 'src'))) {
    const content = f === file ? text : fs.readFileSync(path.join(root, 'src', f), 'utf8');
    sources['src/' + f] = { content };
  }
  const names = file === L ? [R, V, J] : [file];
  const outputSelection = {};
  names.forEach((n) => (outputSelection['src/' + n] = { '*': ['evm.bytecode', 'evm.deployedBytecode'] }));
  const settings = {
    evmVersion: 'london', optimizer: { enabled: true, runs: 200 },
    metadata: { bytecodeHash: 'none', appendCBOR: false }, outputSelection,
  };
  const out = JSON.parse(solc.compile(JSON.stringify({ language: 'Solidity', sources, settings })));
  if ((out.errors || []).some((e) => e.severity === 'error')) return false;
  for (const n of names) {
    const name = n.replace('.sol', '');
    const to = path.join(dir, 'out', n, name + '.json');
    const artifact = JSON.parse(fs.readFileSync(to, 'utf8'));
    const evm = out.contracts['src/' + n][name].evm;
    artifact.bytecode.object = '0x' + evm.bytecode.object;
    artifact.deployedBytecode.object = '0x' + evm.deployedBytecode.object;
    artifact.deployedBytecode.immutableReferences = evm.deployedBytecode.immutableReferences;
    fs.writeFileSync(to, JSON.stringify(artifact));
  }
  return true;
}
if (!test().ok) throw new Error('the unbroken contracts do not pass: npm test says why');

const [from0, step] = (process.argv[2] || '').split('/').map(Number);
let place = 0;
let killed = 0;
let alive = 0;
for (const [name, [file, from, to]] of Object.entries(MUTANTS)) {
  if (step ? place++ % step !== from0 : process.argv[2] && !name.includes(process.argv[2])) continue;
  const whole = fs.readFileSync(path.join(root, 'src', file), 'utf8');
  if (whole.split(from).length !== 2) {
    console.log(`${name}: PATTERN is there ${whole.split(from).length - 1} times`);
    alive++;
    continue;
  }
  const compiles = put(file, whole.replace(from, () => to));
  const { ok, broken } = compiles ? test() : { ok: false, broken: [] };
  if (compiles) put(file, whole);
  if (broken.length) killed++;
  else alive++;
  console.log(`${name}: ${ok ? 'SURVIVED' : broken.length ? 'killed by ' + broken.slice(0, 3).join(', ') : 'DOES NOT COMPILE'}`);
}
fs.rmSync(dir, { recursive: true });
console.log(`${killed} killed, ${alive} not`);
process.exit(alive ? 1 : 0);
