import { DatabaseSync } from 'node:sqlite'
import { describe, expect, test } from 'vitest'
import { type Log, type Message } from '../../src/log/log.ts'
import { sqlLog } from '../../src/log/sql.ts'
import { Filter } from '../../src/topic.ts'
import { type Cost, costOf, countedSql, planOf } from '../bench/counted.ts'
import { runs } from '../seed.ts'

console.log('todo')
