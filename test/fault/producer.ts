import { openRedis } from '../../src/adapters/redis.ts'

/*
 * A node with a producer, as a process that can be killed: claims a topic under a token, appends to it every 50 ms, and writes a line when
 * it has begun. Arguments: URL of the log, topic, token, `leaseMs`, `graceMs`.
 */
const [url, topic, run, leaseMs, graceMs] = process.argv.slice(2) as [string, string, string, string, string]
const log = await openRedis(url)
await log.runs.claim(topic, { token: run, leaseMs: Number(leaseMs), graceMs: Number(graceMs) })
await log.append([{ topic, data: '0', run }])
console.log('begun')
for (let i = 1; ; i++) {
  await new Promise((resolve) => setTimeout(resolve, 50))
  await log.append([{ topic, data: `${i}`, run }])
}
