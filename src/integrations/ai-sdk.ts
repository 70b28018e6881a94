export type { JoinOptions } from '../runs/writer.ts'
export {
  type Answer,
  type AnswerOptions,
  type ChatAnswers,
  type ChatAnswersOptions,
  chatAnswers,
} from './ai-sdk/answers.ts'
export {
  type TidingsChatTransport,
  type TidingsChatTransportOptions,
  tidingsChatTransport,
} from './ai-sdk/transport.ts'
