import type { Buffer } from 'node:buffer'
import { once } from 'node:events'
import { connect, isIP, type Socket } from 'node:net'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import { isLoopback } from '../../config/loopback.ts'
import { reasonOf } from '../../errors.ts'
import { type Finding, note, ok, problem } from './finding.ts'

/** Most bytes of an answer's head that are read. */
const MAX_HEAD = 64 * 1024
const END_OF_HEAD = '\r\n\r\n'
/** Tells where the body ends: after so many bytes, or after an empty chunk. */
const LENGTH = /^(?:content-length:\s*(\d+)|transfer-encoding:)/im

/**
 * Checks the HTTP version, and whether a connection stays open for a second request. It speaks HTTP/1.1 over a socket of its own, because
 * `fetch` tells neither.
 */
export async function checkConnection(url: string, timeoutMs: number): Promise<Finding[]> {
  const { protocol, hostname } = new URL(url)
  const findings = [protocol === 'https:' ? await checkHttp2(url, timeoutMs) : plain(hostname)]
  let socket: Socket | undefined
  try {
    socket = await open(url, ['http/1.1'], timeoutMs)
    const first = await get(socket, url)
    const version = /^HTTP\/(\S+)/.exec(first)?.[1] ?? 'an unknown version'
    if (version !== '1.1')
      findings.push(
        problem(
          'HTTP/1',
          `the answer is HTTP/${version}`,
          'Let the proxy speak HTTP/1.1 (nginx: proxy_http_version 1.1)',
        ),
      )
    findings.push(await checkKeepAlive(socket, url, first))
    return findings
  } catch (cause) {
    return [...findings, problem('HTTP/1.1', `no whole answer: ${reasonOf(cause)}`, 'Let the proxy speak HTTP/1.1 too')]
  } finally {
    socket?.destroy()
  }
}

function plain(hostname: string): Finding {
  if (isLoopback(hostname)) return ok('HTTP version', 'HTTP/1.1 without TLS, on this machine')
  return note(
    'HTTP version',
    'HTTP/1.1 without TLS: browsers open six connections to a host, and tokens travel readable',
    'Put a proxy with TLS and HTTP/2 in front of the hub',
  )
}

async function checkHttp2(url: string, timeoutMs: number): Promise<Finding> {
  const socket = (await open(url, ['h2', 'http/1.1'], timeoutMs)) as TLSSocket
  const { alpnProtocol } = socket
  socket.destroy()
  if (alpnProtocol === 'h2') return ok('HTTP version', 'HTTP/2 over TLS')
  return note(
    'HTTP version',
    'TLS without HTTP/2: browsers open six connections to a host, and each EventSource takes one',
    'Switch HTTP/2 on in the proxy (nginx: http2 on)',
  )
}

async function checkKeepAlive(socket: Socket, url: string, first: string): Promise<Finding> {
  const advice =
    'Let the proxy keep connections open (nginx: keepalive_timeout), for less time than KEEP_ALIVE of the hub'
  if (/^connection:\s*close/im.test(first))
    return problem('keep-alive', 'each request needs a new connection: the answer says Connection: close', advice)
  const second = await get(socket, url).catch(() => '')
  return second.startsWith('HTTP/')
    ? ok('keep-alive', 'a connection serves several requests')
    : problem('keep-alive', 'the connection closes after one request', advice)
}

/** @throws the error of the connection, or of its timeout */
async function open(url: string, ALPNProtocols: string[], timeoutMs: number): Promise<Socket> {
  const { protocol, hostname, port } = new URL(url)
  const host = hostname.replace(/^\[|\]$/g, '')
  const isTls = protocol === 'https:'
  const place = { host, port: Number(port) || (isTls ? 443 : 80) }
  const name = isIP(host) === 0 ? { servername: host } : {} // an address is no server name (RFC 6066, 3)
  const socket = isTls ? connectTls({ ...place, ALPNProtocols, ...name }) : connect(place)
  socket.setTimeout(timeoutMs, () => socket.destroy(new Error('no answer in time')))
  await once(socket, isTls ? 'secureConnect' : 'connect')
  return socket
}

/**
 * Asks for `/health`, and returns the answer's head once its body has arrived. A body without a length ends with the connection.
 *
 * @throws if the connection closes before
 */
async function get(socket: Socket, url: string): Promise<string> {
  const { host, pathname } = new URL(url)
  socket.write(
    `GET ${pathname.replace(/\/$/, '')}/health HTTP/1.1\r\nHost: ${host}\r\nAccept: application/json\r\n\r\n`,
  )
  let text = ''
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
    text += (chunk as Buffer).toString('latin1')
    if (isWhole(text) || text.length > MAX_HEAD) return headOf(text)
  }
  if (headOf(text) === text || LENGTH.test(headOf(text))) throw new Error('the connection closed')
  return headOf(text)
}

/** Whether an answer has a whole body whose length its head tells. */
function isWhole(text: string): boolean {
  const head = headOf(text)
  const body = text.slice(head.length + END_OF_HEAD.length)
  const [found, length] = LENGTH.exec(head) ?? []
  if (found === undefined || head === text) return false
  return length === undefined ? /(^|\r\n)0\r\n/.test(body) : body.length >= Number(length)
}

function headOf(text: string): string {
  return text.split(END_OF_HEAD, 1)[0]!
}
