// The runs of a hub as pages see them. client-runs.d.ts documents it.

/** @import * as Types from './client-runs.d.ts' */

/** @type {typeof Types.stopRun} */
export async function stopRun(hub, topic, fence) {
  const query = new URLSearchParams({ topic, ...(fence !== undefined && { fence: `${fence}` }) })
  const response = await hub.request(`stop?${query}`, { method: 'POST' })
  return response.status === 202 ? undefined : response.json()
}

/** @type {typeof Types.runState} */
export async function runState(hub, topic) {
  try {
    const response = await hub.request(`runs/${encodeURIComponent(topic)}`)
    return await response.json()
  } catch (error) {
    if (/** @type {any} */ (error).code !== 'run_unknown') throw error
  }
}
