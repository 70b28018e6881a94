import { part } from '../part.ts'
import { lossSuite, sharingSuite } from './client-suite.ts'
import { chromiumTabs } from './tabs.ts'

for (const suite of part([lossSuite], [sharingSuite])) suite(chromiumTabs)
