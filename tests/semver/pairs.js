// Prints [version, range, valid, satisfied] for pairs made from a fixed seed, judged by npm's own semver. Ends with 77
// when that is too old to agree with today's in the odd corners. usage: node pairs.js <count>
const fs = require('node:fs')
const path = require('node:path')
const { createRequire } = require('node:module')

const npm = process.env.PATH.split(':').map(d => path.join(d, 'npm')).find(f => fs.existsSync(f))
const semver = createRequire(fs.realpathSync(npm))('semver')
if (!semver.SEMVER_SPEC_VERSION || !semver.satisfies || semver.validRange('*.1') !== null || semver.validRange('1.2.3+001 - 2') === null) process.exit(77)
let state = 20240607
const random = n => {
  state = (Math.imul(state, 1103515245) + 12345) >>> 0
  return (state >>> 8) % n
}
const pick = list => list[random(list.length)]
const number = () => pick(['0', '0', '1', '1', '2', '3', '10', '18', '20', '22', '01', '9007199254740991', '9007199254740992'].slice(0, random(12) ? 10 : 13))
const pre = () => pick(['', '', '', '', '-0', '-alpha', '-alpha.1', '-alpha.2', '-beta.11', '-rc.1', '-1.2', '-01', '-a-b', '-a..b', '-', '-x', '-RC'].slice(0, random(6) ? 12 : 17))
const build = () => pick(['', '', '', '', '', '+b.1', '+001', '+'].slice(0, random(6) ? 7 : 8))
const version = () => pick(['', '', '', 'v', '=', ' ']) + `${number()}.${number()}.${number()}${pre()}${build()}`
const part = () => random(5) ? number() : pick(['x', 'X', '*'])
const partial = () => {
  const prefix = pick(['', '', '', '', '', 'v', '=', 'v=', '=v', 'v ', '= '].slice(0, random(4) ? 7 : 11))
  const n = random(6)
  let text = part()
  if (n > 0) text += '.' + part()
  if (n > 1) text += '.' + part() + pre() + build()
  return prefix + text
}
const comparator = () => pick(['', '', '>', '<', '>=', '<=', '=', '^', '^', '~', '~', '~>', '==', '=>', '> ', '< ', '>= ', '<= ', '^ ', '~ ', '~> ', '= ']) + partial()
const alternative = () => {
  const n = random(10)
  if (n === 0) return pick(['', '*', 'x', 'latest', 'foo', '>', '^', '~', '<', '>*', '<*', '>=*', '1.2.3*', '>1.2.3<2.0.0', '|', '1 -2', '1- 2', 'x.1', '*.1', '1.*.3', '>=0.0.0', '>=0.0.0-0', '<0.0.0-0'])
  if (n < 3) return partial() + pick([' - ', ' - ', '  -  ', ' -', '- ']) + partial()
  if (n < 7) return comparator()
  return comparator() + pick([' ', ' ', '  ', '\t', ', ']) + comparator()
}
const range = () => {
  let text = alternative()
  while (!random(3)) text += pick(['||', ' || ', ' ||', '|| ', '|']) + alternative()
  return text
}
for (let i = 0; i < Number(process.argv[2]); i++) {
  const r = range()
  // Half of the versions lie near what the range names, or nearly all pairs would be "no".
  const near = r.match(/\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?/)
  const v = near && random(2) ? near[0] : version()
  console.log(JSON.stringify([v, r, semver.validRange(r) !== null, semver.satisfies(v, r)]))
}
