#!/usr/bin/env node
import process from 'node:process'
import { main } from './main.ts'
import { silenceSqlite } from './warnings.ts'

silenceSqlite()
process.exitCode = await main(process.argv.slice(2))
