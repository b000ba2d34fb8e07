// Runs the public suite for HTTP caches (npm's http-cache-tests) through a proxy and prints what became of each test as JSON:
// {"id": true} or {"id": ["Assertion", "why"]}. Run as
//     node cache_suite.mjs FOLDER-OF-THE-PACKAGE PROXY-PORT SERVER-PORT
import http from 'node:http'
import { spawn } from 'node:child_process'
import { pathToFileURL } from 'node:url'

const [folder, proxy, port] = process.argv.slice(2)
const from = (path) => import(pathToFileURL(`${folder}/${path}`).href)

// The suite brings a client of its own, which knows no proxy: this one sends absolute targets to it.
function fetch (url, init = {}) {
  const headers = {}
  for (const [name, value] of init.headers || []) {
    const key = name.toLowerCase()
    headers[key] = key in headers ? [].concat(headers[key], String(value)) : String(value)
  }
  headers.host = new URL(url).host
  if (init.body !== undefined) headers['content-length'] = Buffer.byteLength(init.body)
  return new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port: proxy, path: String(url), method: init.method || 'GET', headers, agent: false }
    const request = http.request(options, (response) => {
      const parts = []
      response.on('data', (part) => parts.push(part))
      response.on('error', reject)
      response.on('end', () => {
        const got = new Headers()
        for (let at = 0; at < response.rawHeaders.length; at += 2) {
          got.append(response.rawHeaders[at], response.rawHeaders[at + 1])
        }
        const text = Buffer.concat(parts).toString('utf8')
        resolve({ status: response.statusCode, headers: got, text: async () => text, json: async () => JSON.parse(text) })
      })
    })
    request.on('error', reject)
    if (init.signal) init.signal.addEventListener('abort', () => request.destroy(new Error('aborted')))
    request.end(init.body)
  })
}

const environment = { ...process.env, npm_config_port: port, npm_config_protocol: 'http', npm_config_pidfile: '/dev/null' }
const server = spawn(process.execPath, ['server/server.mjs'], { cwd: folder, env: environment, stdio: 'ignore' })
const base = `http://127.0.0.1:${port}`
for (let waited = 0; ; waited++) {
  const there = await new Promise((resolve) => {
    http.get(base, (response) => { response.resume(); resolve(true) }).on('error', () => resolve(false))
  })
  if (there) break
  if (waited > 600 || server.exitCode !== null) { console.error('the server of the suite does not listen'); process.exit(1) }
  await new Promise((resolve) => setTimeout(resolve, 100))
}
const { runTests, getResults } = await from('client/runner.mjs')
const suites = (await from('tests/index.mjs')).default
const log = console.log
console.log = console.error
await runTests(suites, fetch, false, base)
const results = getResults()
const all = suites.flatMap((suite) => suite.tests).filter((test) => !test.browser_only && !test.cdn_only)
const told = all.map((test) => ({ id: test.id, kind: test.kind || 'required', needs: test.depends_on || [], result: results[test.id] }))
log(JSON.stringify(told))
server.kill()
process.exit(0)
