import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { folder, freePort } from './server.ts'

/** Why tests cannot run a real nginx; '' if they can. */
export const withoutNginx =
  spawnSync('nginx', ['-v']).status === 0 ? '' : 'needs nginx, which this machine does not have'

/** Starts nginx with the configuration of the guide, in front of nodes on these ports of 127.0.0.1. */
export async function startNginx([one, other]: readonly number[]): Promise<{ port: number; stop(): Promise<void> }> {
  const port = await freePort()
  const place = folder()
  const guide = readFileSync(join(import.meta.dirname, '..', '..', 'src', 'adapters', 'README.md'), 'utf8')
  const here = /```nginx\n(.*?)```/s
    .exec(guide)![1]!
    .replace('listen 80;', `listen 127.0.0.1:${port};`)
    .replace('node-1:3000', `127.0.0.1:${one}`)
    .replace('node-2:3000', `127.0.0.1:${other}`)
  const file = join(place, 'nginx.conf')
  writeFileSync(file, here)
  const directives = `daemon off; pid ${place}/pid; error_log ${place}/errors; worker_processes 1;`
  const child = spawn('nginx', ['-p', place, '-c', file, '-g', directives], { stdio: 'ignore' })
  const end = () => child.kill('SIGTERM')
  process.once('exit', end)
  while (!(await fetch(`http://127.0.0.1:${port}/health`).catch(() => undefined)))
    await new Promise((resolve) => setTimeout(resolve, 20))
  return {
    port,
    async stop() {
      process.off('exit', end)
      const gone = once(child, 'exit')
      end()
      await gone
    },
  }
}
