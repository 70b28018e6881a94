import process from 'node:process'
import { Auth } from '../auth/auth.ts'
import type { Config } from '../config/config.ts'
import { AppError } from '../errors.ts'
import type { Hub } from '../hub/hub.ts'
import { readConfig } from './environment.ts'

/** Resolves once the keys can be used. Reads the files of keys again on SIGHUP, and every `AUTH_RELOAD`. */
export async function openAuth({ auth }: Config, hub: Hub): Promise<Auth> {
  const opened = new Auth(hub, auth, () => readConfig().auth)
  await opened.check()
  process.on('SIGHUP', () => {
    opened.reload().then(
      () => console.log('SIGHUP: keys are read anew'),
      (error) => console.error(`SIGHUP: keys stay as they were: ${error instanceof AppError ? error.message : error}`),
    )
  })
  return opened
}
