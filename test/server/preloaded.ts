/** The environment of a Node that runs this module before the hub. */
export function preloaded(code: string): Record<string, string> {
  return { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(code)}` }
}

/** The environment of a Node whose HTTP server and sockets time out this many times sooner than the hub sets. */
export function hurried(times: number): Record<string, string> {
  return preloaded(`import http from 'node:http'
    import net from 'node:net'
    const { listen } = http.Server.prototype
    http.Server.prototype.listen = function (...given) {
      for (const name of ['headersTimeout', 'requestTimeout']) this[name] /= ${times}
      return listen.apply(this, given)
    }
    const { setTimeout } = net.Socket.prototype
    net.Socket.prototype.setTimeout = function (ms, ...given) {
      return setTimeout.call(this, ms / ${times}, ...given)
    }`)
}
