import process from 'node:process'
import { Auth } from '../auth/auth.ts'
import type { Config } from '../config/config.ts'
import { AppError } from '../errors.ts'
import type { Hub } from '../hub/hub.ts'
import { readConfig } from './environment.ts'

/** Resolves when the keys can be used. Keys are read again on SIGHUP, and every `AUTH_RELOAD`. @throws AppError `config_invalid` */
export async function openAuth({ auth: options }: Config, hub: Hub): Promise<Auth> {
  const auth = new Auth(hub, options, () => readConfig().auth)
  await auth.check()
  process.on('SIGHUP', () => {
    if (!auth.hasKeys) {
      console.log('SIGHUP: this hub has no keys to read')
      return
    }
    auth.reload().then(
      () => console.log('SIGHUP: read the keys again'),
      (error) =>
        console.error(`SIGHUP: kept the keys as they were: ${error instanceof AppError ? error.message : error}`),
    )
  })
  return auth
}
