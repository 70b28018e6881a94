/** Milliseconds for which a button says that it has copied. */
const thanksMs = 1_500

/** Copies a text, and lets the button say so for a moment. */
export async function copyFrom(button, text) {
  const isCopied = await copy(text)
  const before = button.dataset.label ?? button.textContent
  button.dataset.label = before
  button.textContent = isCopied ? 'Copied' : 'Cannot copy'
  clearTimeout(Number(button.dataset.timer))
  button.dataset.timer = setTimeout(() => {
    button.textContent = before
  }, thanksMs)
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text)
    return true
  } catch {
    return copySelected(text)
  }
}

/** Pages on plain http have no clipboard, unless they are of this computer. */
function copySelected(text) {
  const field = document.createElement('textarea')
  const { activeElement } = document
  field.value = text
  document.body.append(field)
  field.select()
  const isCopied = document.execCommand('copy')
  field.remove()
  activeElement?.focus({ preventScroll: true })
  return isCopied
}
