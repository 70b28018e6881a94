import { streaming, worker } from '../server/runtimes.ts'
import { servedSuite } from './served.ts'

servedSuite(streaming(worker), 'everywhere')
