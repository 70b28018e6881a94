import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { blocksOf } from '../recipes/guide.ts'
import { folder, freePort } from './server.ts'

/** A program that stands between clients and hubs, with the configuration of the guide. */
export interface Proxy {
  readonly name: string
  /** Why tests cannot run it; '' if they can. */
  readonly missing: string
  readonly version: string
  /** Starts it in front of hubs on these ports of 127.0.0.1. */
  start(ports: readonly number[]): Promise<Running>
}

export interface Running {
  readonly port: number
  readonly url: string
  stop(): Promise<void>
}

export const nginx = proxy('nginx', ['-v'], ({ port, place, hubs }) => {
  const file = join(place, 'nginx.conf')
  writeFileSync(file, hubs(configOf('nginx').replace('listen 80;', `listen 127.0.0.1:${port};`)))
  const directives = `daemon off; pid ${place}/pid; error_log ${place}/errors; worker_processes 1;`
  return ['-p', place, '-c', file, '-g', directives]
})

export const caddy = proxy('caddy', ['version'], ({ port, place, hubs }) => {
  const file = join(place, 'Caddyfile')
  const site = hubs(configOf('caddy').replace(/^:80 /m, `http://127.0.0.1:${port} `))
  writeFileSync(file, `{\n\tadmin off\n\tgrace_period 1s\n}\n${site}`)
  return ['run', '--config', file, '--adapter', 'caddyfile']
})

export const haproxy = proxy('haproxy', ['-v'], ({ port, place, hubs }) => {
  const [file, later] = [join(place, 'haproxy.cfg'), join(place, 'later.http')]
  writeFileSync(later, configOf('http'))
  const here = configOf('haproxy').replace('bind :80', `bind 127.0.0.1:${port}`)
  writeFileSync(file, hubs(here.replaceAll('/usr/local/etc/haproxy/later.http', later)))
  return ['-db', '-f', file]
})

export const proxies = [nginx, caddy, haproxy]

interface Place {
  readonly port: number
  readonly place: string
  /** Puts the ports of the hubs into a configuration. */
  hubs(config: string): string
}

/** @param prepare writes the configuration and returns the arguments of the command */
function proxy(name: string, version: readonly string[], prepare: (place: Place) => readonly string[]): Proxy {
  const { status, stdout, stderr } = spawnSync(name, version, { encoding: 'utf8' })
  return {
    name,
    missing: status === 0 ? '' : `needs ${name}, which this machine does not have`,
    version: /\d+\.\d+\.\d+/.exec(`${stdout}${stderr}`)?.[0] ?? '',
    async start([one, other = one]) {
      const [port, place] = [await freePort(), folder()]
      const hubs = (config: string) =>
        config.replaceAll('node-1:3000', `127.0.0.1:${one}`).replaceAll('node-2:3000', `127.0.0.1:${other}`)
      const child = spawn(name, prepare({ port, place, hubs }), {
        env: { PATH: process.env.PATH, HOME: place },
        stdio: ['ignore', 'ignore', 'pipe'],
      })
      let errors = ''
      child.stderr.setEncoding('utf8').on('data', (text: string) => {
        errors += text
      })
      const end = () => child.kill('SIGTERM') // nginx ends its workers then
      process.once('exit', end)
      const url = `http://127.0.0.1:${port}`
      while ((await fetch(`${url}/health`).catch(() => undefined))?.status !== 200) {
        if (child.exitCode !== null) throw new Error(`${name} ended:\n${errors}`)
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
      return {
        port,
        url,
        async stop() {
          process.off('exit', end)
          const gone = once(child, 'exit')
          end()
          await gone
        },
      }
    },
  }
}

/** The configuration in this language that the guide shows. */
function configOf(language: string): string {
  return blocksOf('src/adapters/README.md').find((block) => block.language === language)!.text
}
