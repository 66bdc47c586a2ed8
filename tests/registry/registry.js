// A small npm registry on loopback for the tests of the store. Prints its port, ends when its stdin does.
// What starts with @secret/ is answered only with the token from REGISTRY_TOKEN. GET /-/publish/<name>/<version> adds
// a version; GET /-/count answers how many requests for packages there were, GET /-/asked which, GET /-/sent those
// that were answered with more than 304. Answers have an ETag, those about packages the headers of REGISTRY_HEADERS (JSON). GET /-/mark/<word> keeps a word, by which a
// script tells that it has run; GET /-/marks answers all of them. POST /-/add takes further packages.
const http = require('node:http')
const zlib = require('node:zlib')
const crypto = require('node:crypto')

const token = process.env.REGISTRY_TOKEN
const headers = JSON.parse(process.env.REGISTRY_HEADERS ?? '{}')
const bin = '#!/usr/bin/env node\nconsole.log("here")\n'
const hunt = require('node:fs').readFileSync(require('node:path').join(__dirname, 'hunt.js'), 'utf8')
const failing = 'console.error("Error: the sky is falling"); process.exit(3)\n'

const speaks = who => `#!/usr/bin/env node\nprocess.stderr.write('WHO ${who} token=' + process.env.GOOD_TOKEN + '\\n'); process.exit(0)\n`

// name -> versions -> [fields of package.json, other files]
const packages = {
  plain: { '1.0.0': [{ bin: 'x.js' }], '1.1.0': [{ bin: 'x.js', engines: { node: '>=10' } }], '2.0.0-rc.1': [{ bin: 'x.js' }] },
  moving: { '1.0.0': [{ bin: 'x.js' }], '1.1.0': [{ bin: 'x.js' }], '2.0.0-rc.1': [{ bin: 'x.js' }] },
  CapS: { '1.0.0': [{ bin: { CapS: 'x.js', other: 'y.js' } }] },
  many: { '1.0.0': [{ bin: { one: 'x.js', two: 'y.js' } }] },
  'no-bin': { '1.0.0': [{}] },
  '@scope/scoped': { '1.0.0': [{ bin: 'i.js' }, { 'i.js': '#!/usr/bin/env node\n' }] },
  '@secret/thing': { '1.0.0': [{ bin: 'x.js', scripts: { postinstall: 'node hunt.js' }, dependencies: { plain: '^1.0.0' } }, { 'hunt.js': hunt }] },
  scripted: { '1.0.0': [{ bin: 'x.js', scripts: { postinstall: 'node made.js' } }, { 'made.js': 'require("fs").writeFileSync("made", process.env.PATH)' }] },
  // Commands of one name: "good" is the package that is asked for; what others have under that name says who it is.
  good: { '1.0.0': [{ bin: { goodcmd: 'bin/own.js', 'good-other': './bin/../bin/own.js' }, dependencies: { 'a-shadow': '1', 'z-shadow': '1' } }, { 'bin/own.js': speaks('good') }] },
  'a-shadow': { '1.0.0': [{ bin: { goodcmd: 'x.js' } }, { 'x.js': speaks('a-shadow') }] },
  'z-shadow': { '1.0.0': [{ bin: { goodcmd: 'x.js', 'good-other': 'x.js', 'shadow-only': 'x.js' } }, { 'x.js': speaks('z-shadow') }] },
  evil: { '1.0.0': [{ bin: { goodcmd: 'x.js', evilcmd: 'x.js' } }, { 'x.js': speaks('evil') }] },
  elsewhere: { '1.0.0': [{ bin: 'x.js' }] }, // its file lies on another host
  'wants-elsewhere': { '1.0.0': [{ bin: 'x.js', optionalDependencies: { elsewhere: '1' } }] },
  fails: { '1.0.0': [{ bin: 'x.js', scripts: { install: 'node fail.js' } }, { 'fail.js': failing }] },
  'needs-fails': { '1.0.0': [{ bin: 'x.js', dependencies: { fails: '1', scripted: '1' } }] },
  'needs-missing': { '1.0.0': [{ bin: 'x.js', dependencies: { missing: '1' } }] },
  'opt-fails': { '1.0.0': [{ scripts: { install: 'node fail.js' } }, { 'fail.js': failing }] },
  'opt-parent': { '1.0.0': [{ dependencies: { 'opt-child': '1' } }] },
  'opt-child': { '1.0.0': [{ scripts: { install: 'node fail.js' } }, { 'fail.js': failing }] },
  'opt-fine': { '1.0.0': [{ scripts: { install: 'node made.js' } }, { 'made.js': 'require("fs").writeFileSync("made", "")' }] },
  'has-options': { '1.0.0': [{ bin: 'x.js', optionalDependencies: { 'opt-fails': '1', 'opt-parent': '1', 'opt-fine': '1' } }] },
  'wants-node': { '1.0.0': [{ bin: 'x.js', engines: { node: '>=999' }, scripts: { postinstall: 'node > answer' } }] },
  'setuid': { '1.0.0': [{ bin: 'x.js', scripts: { postinstall: 'cp /bin/true evil && chmod 6755 evil && mkfifo pipe && ln -s /etc/passwd link && mkdir closed && touch closed/file && chmod 0700 closed && chmod 0600 closed/file' } }] }
}
const fakeNode = version => [{ bin: { node: 'bin/node' } }, { 'bin/node': `#!/bin/sh\n[ "$1" = -p ] && { echo 1${version.split('.')[0]}; exit; }\necho fake ${version}\n` }]
for (const name of [`node-${process.platform}-${process.arch}`]) {
  packages[name] = Object.fromEntries(['20.0.0', '999.0.0', '1000.0.0', '1000.1.0', '1001.0.0', '1002.0.0'].map(v => [v, fakeNode(v)]))
}

const marks = []
const tarballs = new Map()
const tar = files => {
  const blocks = []
  for (const [name, text] of Object.entries(files)) {
    const body = Buffer.from(text)
    const head = Buffer.alloc(512)
    head.write('package/' + name, 0)
    head.write(/^bin\/|^[xy]\.js$/.test(name) ? '0000755\0' : '0000644\0', 100)
    head.write('0000000\0' + '0000000\0' + body.length.toString(8).padStart(11, '0') + '\0' + '00000000000\0', 108)
    head.write('        0', 148)
    head.write('ustar\x0000', 257)
    let sum = 0
    for (const byte of head) sum += byte
    head.write(sum.toString(8).padStart(6, '0') + '\0 ', 148)
    blocks.push(head, body, Buffer.alloc((512 - body.length % 512) % 512))
  }
  return zlib.gzipSync(Buffer.concat([...blocks, Buffer.alloc(1024)]))
}
const tarball = (name, version) => {
  const id = `${name}@${version}`
  if (!tarballs.has(id)) {
    const [fields, files] = packages[name][version]
    tarballs.set(id, tar({ 'package.json': JSON.stringify({ name, version, ...fields }), 'x.js': bin, 'y.js': bin, ...files }))
  }
  return tarballs.get(id)
}
const latest = versions => Object.keys(versions).filter(v => !v.includes('-')).sort((a, b) => a.localeCompare(b, 'en', { numeric: true })).pop()

const asked = []
const sent = []
const server = http.createServer((request, response) => {
  const url = decodeURIComponent(request.url)
  const answer = (status, body) => {
    response.writeHead(status, { 'content-type': typeof body === 'string' ? 'text/plain' : Buffer.isBuffer(body) ? 'application/octet-stream' : 'application/json' })
    response.end(typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body))
  }
  const publish = url.match(/^\/-\/publish\/(.+)\/([^/]+)$/)
  if (publish) {
    packages[publish[1]][publish[2]] = [{ bin: 'x.js' }]
    return answer(200, 'ok')
  }
  if (url === '/-/add') {
    const parts = []
    return request.on('data', part => parts.push(part)).on('end', () => answer(200, String(Object.assign(packages, JSON.parse(Buffer.concat(parts))) !== null)))
  }
  if (url.startsWith('/-/mark/')) return answer(200, String(marks.push(url.slice('/-/mark/'.length))))
  if (url === '/-/marks') return answer(200, marks)
  if (url === '/-/count') return answer(200, String(asked.length))
  if (url === '/-/asked') return answer(200, asked)
  if (url === '/-/sent') return answer(200, sent)
  asked.push(url)
  const match = url.match(/^\/((?:@[^/]+\/)?[^/]+)(?:\/-\/(.+)\.tgz)?$/)
  const name = match && match[1]
  if (!name || !Object.hasOwn(packages, name)) return answer(404, { error: 'not found' })
  if (name.startsWith('@secret/') && request.headers.authorization !== `Bearer ${token}`) return answer(401, { error: 'unauthorized' })
  const answerUnlessKnown = (type, body, more) => {
    const etag = `"${crypto.createHash('sha256').update(body).digest('hex')}"`
    const known = request.headers['if-none-match'] === etag
    if (!known) sent.push(url)
    response.writeHead(known ? 304 : 200, { 'content-type': type, etag, ...more })
    response.end(known ? undefined : body)
  }
  if (match[2]) return answerUnlessKnown('application/octet-stream', tarball(name, match[2]))
  const base = `http://127.0.0.1:${server.address().port}`
  const versions = {}
  for (const version of Object.keys(packages[name])) {
    const [fields] = packages[name][version]
    const bins = typeof fields.bin === 'string' ? { [name.replace(/^@.*\//, '')]: fields.bin } : fields.bin
    versions[version] = {
      name, version, ...fields, bin: bins,
      hasInstallScript: ['preinstall', 'install', 'postinstall'].some(s => fields.scripts?.[s]) || undefined,
      dist: { tarball: `${name === 'elsewhere' ? 'http://files.invalid' : base}/${name}/-/${version}.tgz`, integrity: 'sha512-' + crypto.createHash('sha512').update(tarball(name, version)).digest('base64') }
    }
  }
  const about = { name, 'dist-tags': { latest: latest(versions), next: Object.keys(versions).find(v => v.includes('-')) ?? latest(versions) }, versions }
  answerUnlessKnown('application/json', JSON.stringify(about), headers)
})
server.listen(0, '127.0.0.1', () => console.log(server.address().port))
process.stdin.resume().on('end', () => process.exit(0))
