import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { logs } from '../../src/adapters/logs.ts'
import { DRAIN_MS } from '../../src/adapters/run.ts'
import { parseConfig } from '../../src/config/config.ts'
import { manifest } from '../package/project.ts'
import { documentsOf, imageEnv, instruction, pairs, root, textOf } from './files.ts'

const keys = { AUTH_SECRET: 'x'.repeat(32) }
const closed = (env: Readonly<Record<string, string>>) => {
  const { AUTH_SECRET: _, AUTH_SECRET_FILE: __, NODE_ENV: ___, ...settings } = env
  return parseConfig({ ...settings, ...keys }, logs)
}
const kubernetes = ['kubernetes-sqlite.yaml', 'kubernetes-redis.yaml']

interface Container {
  readonly env: readonly { readonly name: string; readonly value: string }[]
  readonly ports: readonly { readonly containerPort: number }[]
  readonly lifecycle: { readonly preStop: { readonly sleep: { readonly seconds: number } } }
  readonly [probe: `${string}Probe`]: { readonly httpGet: { readonly path: string } }
}
interface Workload {
  readonly kind: string
  readonly spec: {
    readonly replicas: number
    readonly template: {
      readonly spec: { readonly containers: readonly Container[]; readonly terminationGracePeriodSeconds: number }
    }
  }
}

interface Job {
  readonly 'runs-on': string
  readonly container?: string
  readonly strategy?: { readonly matrix: unknown }
  readonly steps: readonly { readonly run?: string; readonly with?: { readonly 'node-version'?: unknown } }[]
}

describe('the image', () => {
  test('has settings that are valid, and listens on the port that it exposes', () => {
    const { host, port, open } = closed(imageEnv())
    expect([host, `${port}`, open]).toEqual(['::', instruction('EXPOSE'), false])
    expect(imageEnv().LOG).toBe(`sqlite:${instruction('VOLUME')}/tidings.db`)
    expect(instruction('USER')).toMatch(/^[1-9]/)
  })

  test('runs the command of the package', () => {
    const { bin } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { bin: { tidings: string } }
    const file = join('node_modules', 'tidings', bin.tidings)
    expect(JSON.parse(instruction('CMD'))).toEqual(['node', file, 'serve'])
  })
})

test('compose starts the image with keys and a volume, and stops it after its drain', () => {
  const [{ services }] = documentsOf<{ services: Record<string, Record<string, unknown>> }>('compose.yaml') as [never]
  const { tidings } = services as { tidings: Record<string, unknown> }
  expect(tidings.environment).toEqual({ AUTH_SECRET: expect.stringMatching(/^\$\{AUTH_SECRET:\?/) })
  expect(tidings.volumes).toEqual([`data:${instruction('VOLUME')}`])
  expect(Number.parseInt(tidings.stop_grace_period as string, 10) * 1000).toBeGreaterThan(DRAIN_MS)
  const { context, dockerfile } = tidings.build as { context: string; dockerfile: string }
  expect([context, existsSync(join(root, dockerfile))]).toEqual(['../..', true])
})

describe.each(kubernetes)('%s', (file) => {
  const { kind, spec } = documentsOf<Workload>(file).find(
    ({ kind }) => kind === 'StatefulSet' || kind === 'Deployment',
  )!
  const pod = spec.template.spec
  const [container] = pod.containers as [Container]

  test('has settings that are valid, and one replica if its log has one writer', () => {
    const env = Object.fromEntries(container.env.map(({ name, value }) => [name, value]))
    const { log, port } = closed({ ...imageEnv(), ...env })
    expect(container.ports[0]!.containerPort).toBe(port)
    expect([kind, spec.replicas]).toEqual(log.startsWith('sqlite:') ? ['StatefulSet', 1] : ['Deployment', 3])
  })

  test('probes health and readiness, and waits for the drain', () => {
    expect(container.startupProbe!.httpGet.path).toBe('/health')
    expect(container.livenessProbe!.httpGet.path).toBe('/health')
    expect(container.readinessProbe!.httpGet.path).toBe('/ready')
    const { seconds } = container.lifecycle.preStop.sleep
    expect(pod.terminationGracePeriodSeconds * 1000).toBeGreaterThan(seconds * 1000 + DRAIN_MS)
  })
})

test('the systemd unit has settings that are valid, runs a program of the package, and waits for the drain', () => {
  const unit = textOf('tidings.service')
  const env = pairs(/^Environment=(.*)$/m.exec(unit)![1]!)
  expect(closed(env).log).toBe('sqlite:/var/lib/tidings/tidings.db')
  expect(unit).toContain(`/opt/tidings/${(JSON.parse(instruction('CMD')) as string[]).slice(1).join(' ')}\n`)
  expect(Number(/^TimeoutStopSec=(\d+)$/m.exec(unit)![1]) * 1000).toBeGreaterThan(DRAIN_MS)
})

describe('the workflow', () => {
  const [workflow] = documentsOf<{ jobs: Record<'linux' | 'macos' | 'package', Job> }>('../workflows/ci.yml')
  const { linux, macos, package: ofPackage } = workflow!.jobs
  const lines = [...manifest.engines.node.matchAll(/(?:\^|>=)(\d+)/g)].map(([, major]) => Number(major))
  const commandsOf = ({ steps }: Job) => steps.flatMap(({ run }) => run ?? [])
  const nodesOf = ({ steps }: Job) => steps.flatMap((step) => step.with?.['node-version'] ?? [])

  test('runs .ci/run on Linux, and check and tests on macOS, both on the newest Node', () => {
    expect([linux['runs-on'], linux.container]).toEqual(['ubuntu-latest', `node:${lines.at(-1)}-bookworm`])
    expect(commandsOf(linux).at(-1)).toBe('bash .ci/run')
    expect([macos['runs-on'], nodesOf(macos)]).toEqual(['macos-latest', [lines.at(-1)]])
    expect(commandsOf(macos)).toEqual(['npm ci', 'npm run check', 'npm test'])
  })

  test('runs the package on Linux and macOS, on every line of Node that engines permits', () => {
    expect(lines).toEqual([22, 24, 26])
    expect(ofPackage.strategy!.matrix).toEqual({ os: ['ubuntu-latest', 'macos-latest'], node: lines })
    expect([ofPackage['runs-on'], ...nodesOf(ofPackage)]).toEqual([
      expect.stringContaining('{{ matrix.os }}'),
      expect.stringContaining('{{ matrix.node }}'),
    ])
    expect(commandsOf(ofPackage).at(-1)).toBe('NODE_UNDER_TEST="$(command -v node)" npm run test:all -- test/package')
  })
})

test('the build has no data, no keys and no modules of the host in its context', () => {
  const ignored = textOf('Dockerfile.dockerignore').split('\n')
  for (const name of ['.git', 'data', 'node_modules', '**/*.db']) expect(ignored).toContain(name)
})
