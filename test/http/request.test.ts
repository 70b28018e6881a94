import app from '../../src/index.ts'
import { httpSuite } from './suite.ts'

httpSuite({ name: 'app.request()', fetch: async (path, init) => app.request(path, init) })
