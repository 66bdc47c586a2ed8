// An install script that looks for a registry token wherever a process of the sandbox can look. It writes down the
// places where it found one, and how much it has seen: a hunt that saw nothing proves nothing.
const fs = require('node:fs')
const path = require('node:path')

const pattern = /npmtok-[0-9a-f]{32}/
const found = []
let files = 0
let processes = 0

const look = (place, text) => {
  if (pattern.test(text)) found.push(place)
}
const read = (place, file) => {
  try {
    look(place, fs.readFileSync(file, 'latin1'))
    return true
  } catch {
    return false
  }
}
const walk = directory => {
  let entries
  try {
    entries = fs.readdirSync(directory, { withFileTypes: true })
  } catch {
    return
  }
  for (const entry of entries) {
    const file = path.join(directory, entry.name)
    if (entry.isDirectory()) walk(file)
    else if (entry.isFile() && file !== __filename && read(`file ${file}`, file)) files++
  }
}

for (const [name, value] of Object.entries(process.env)) look(`environment ${name}`, `${name}=${value}`)
for (const directory of ['/opt', '/home', '/tmp', '/run', '/etc', '/var', process.env.HOME]) walk(directory)
for (const pid of fs.readdirSync('/proc').filter(name => /^\d+$/.test(name))) {
  for (const what of ['environ', 'cmdline']) if (read(`proc ${what}`, `/proc/${pid}/${what}`)) processes++
  for (const what of ['fd', 'cwd', 'root']) {
    const directory = `/proc/${pid}/${what}`
    if (what === 'fd') {
      let fds = []
      try {
        fds = fs.readdirSync(directory)
      } catch {}
      for (const fd of fds) {
        try {
          if (fs.statSync(`${directory}/${fd}`).isFile()) read('proc fd', `${directory}/${fd}`)
        } catch {}
      }
    }
  }
  try {
    const memory = fs.readFileSync(`/proc/${pid}/maps`, 'latin1')
    const handle = fs.openSync(`/proc/${pid}/mem`, 'r')
    for (const line of memory.split('\n')) {
      const range = line.match(/^([0-9a-f]+)-([0-9a-f]+) rw/)
      if (!range || Number(pid) === process.pid) continue
      const start = parseInt(range[1], 16)
      const bytes = Buffer.alloc(Math.min(parseInt(range[2], 16) - start, 64 << 20))
      try {
        look('proc mem', bytes.latin1Slice(0, fs.readSync(handle, bytes, 0, bytes.length, start)))
      } catch {}
    }
    fs.closeSync(handle)
  } catch {}
}
fs.writeFileSync('hunt.json', JSON.stringify({ found: [...new Set(found)], files, processes }))
