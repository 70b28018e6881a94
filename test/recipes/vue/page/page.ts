import { connect } from 'tidings/client'
import { useLatest, useTopic } from 'tidings/vue'
import { computed, createApp, watchEffect } from 'vue'

interface Question {
  readonly id: number
  readonly text: string
  readonly answers: readonly string[]
}

const hub = connect({ url: '/live', shared: true })
localStorage.me ??= crypto.randomUUID()

const template = `
  <h2>{{ question?.text ?? 'Nobody has asked anything yet' }}</h2>
  <p class="quiet">{{ votes.size }} votes</p>
  <button v-for="answer in question?.answers" type="button" class="card answer" :class="{ mine: votes.get(me) === answer }"
    :style="{ '--share': share(answer) }" @click="vote(answer)">
    {{ answer }} <span class="votes">{{ share(answer) }}</span>
  </button>`

createApp({
  template,
  setup() {
    const me: string = localStorage.me
    const { event, state } = useLatest(hub, 'poll/question')
    const question = computed(() => event.value && (JSON.parse(event.value.data) as Question))
    // Another question has other votes: the topic is a getter.
    const view = useTopic(hub, () => `poll/votes/${question.value?.id ?? 'none'}`, { from: 'earliest', keep: 10_000 })
    /** The newest vote of each person. */
    const votes = computed(
      () => new Map(view.value.events.map(({ data }) => JSON.parse(data) as readonly [person: string, answer: string])),
    )
    watchEffect(() => {
      document.body.dataset.state = state.value.state
    })
    const share = (answer: string) => {
      const count = [...votes.value.values()].filter((voted) => voted === answer).length
      return `${Math.round((100 * count) / (votes.value.size || 1))}%`
    }
    const vote = (answer: string) => hub.publish({ topic: `poll/votes/${question.value!.id}`, data: [me, answer] })
    return { me, question, votes, share, vote }
  },
}).mount('main')
