import { AppError } from '../errors.ts'

/**
 * Imports what only hubs with credentials need, at its first use: jose takes as long to load as the hub itself.
 *
 * @throws AppError `keys_unavailable`, if the import fails, as without a free file descriptor. The next call tries again
 */
export async function loaded<T>(load: () => Promise<T>): Promise<T> {
  try {
    return await load()
  } catch (cause) {
    throw new AppError('keys_unavailable', 'Cannot check credentials now: a module cannot be loaded', {
      cause,
      retryAfterS: 5,
    })
  }
}
