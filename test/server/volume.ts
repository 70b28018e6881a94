import { spawnSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { folder } from './server.ts'

const run = (command: string, ...args: string[]) => spawnSync(command, args, { encoding: 'utf8' })

/** Why tests cannot mount a file system; '' if they can. */
export const withoutVolumes = reason()

function reason(): string {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'needs root on Linux, to mount a file system'
  if (run('mkfs.ext4', '-V').status !== 0) return 'needs mkfs.ext4'
  const { status, stderr } = run('losetup', '--find')
  return status === 0 ? '' : `needs a loop device: ${stderr.trim()}`
}

/** An ext4 file system in a file, mounted by a loop device: unused by others, so that it reuses a freed inode at once. */
export interface Volume {
  readonly path: string
  /** Mounts the file system by another device, like a disk that was attached again. */
  attachAgain(): void
  remove(): void
}

export function volume(): Volume {
  const place = folder()
  const [image, path] = [join(place, 'image'), join(place, 'mounted')]
  const devices: string[] = []
  const must = (command: string, ...args: string[]) => {
    const { status, stdout, stderr } = run(command, ...args)
    if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${stderr}`)
    return stdout.trim()
  }
  const attach = () => {
    devices.push(must('losetup', '--find', '--show', image))
    must('mount', devices.at(-1)!, path)
  }
  mkdirSync(path)
  must('truncate', '--size', '32M', image)
  must('mkfs.ext4', '-q', image)
  attach()
  return {
    path,
    attachAgain() {
      must('umount', path)
      attach() // before the former device is free again
      must('losetup', '--detach', devices.shift()!)
    },
    remove() {
      run('umount', path)
      for (const device of devices) run('losetup', '--detach', device)
    },
  }
}

/** Mounts a file or a folder at another path. @returns a function that unmounts it */
export function bindMount(from: string, to: string): () => void {
  const { status, stderr } = run('mount', '--bind', from, to)
  if (status !== 0) throw new Error(`mount --bind: ${stderr}`)
  return () => void run('umount', to)
}
