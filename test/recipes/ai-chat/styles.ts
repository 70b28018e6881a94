export const styles = `
* { box-sizing: border-box }
body { margin: 0; font: 16px/1.5 system-ui, sans-serif; color: #1c2326; background: #f4f6f7 }
main { max-width: 44rem; height: 100dvh; margin: auto; padding: 1rem; display: flex; flex-direction: column; gap: 1rem }
header { display: flex; flex-wrap: wrap; gap: .25rem 1rem; align-items: baseline }
h1 { margin: 0; font-size: 1.25rem }
header p { margin: 0; color: #5b6b73 }
header a { margin-left: auto; color: #0b5cad }
ol { flex: 1; margin: 0; padding: 0; list-style: none; overflow-y: auto; display: flex; flex-direction: column; gap: .75rem }
li { max-width: 85%; padding: .5rem .75rem; border-radius: .75rem; background: #fff; white-space: pre-wrap; overflow-wrap: anywhere }
li.user { align-self: flex-end; color: #fff; background: #0b5cad }
li.assistant { align-self: flex-start; border: 1px solid #d5dde1 }
li.hint { align-self: center; color: #5b6b73; background: none }
[role=alert] { margin: 0; padding: .5rem .75rem; border-radius: .5rem; color: #8a1c1c; background: #fbe9e9 }
form { display: flex; gap: .5rem }
input, button { font: inherit; padding: .5rem .75rem; border: 1px solid #b9c4ca; border-radius: .5rem }
input { flex: 1; min-width: 0; background: #fff }
button { color: #fff; background: #1c2326; border-color: #1c2326; cursor: pointer }
:focus-visible { outline: 3px solid #7db7ef; outline-offset: 1px }
`
