/** Makes an element with a class and a text. */
export function make(tag, className = '', text = '') {
  const element = document.createElement(tag)
  if (className) element.className = className
  element.textContent = text
  return element
}

/** Makes a button that does something when it is clicked. */
export function makeButton(className, text, click) {
  const button = make('button', className, text)
  button.type = 'button'
  button.addEventListener('click', () => click(button))
  return button
}
