const base = new URL('.', location.href).href
for (const element of document.querySelectorAll('.base')) element.textContent = base

const dark = matchMedia('(prefers-color-scheme: dark)')
const followScheme = () => document.documentElement.classList.toggle('dark-mode', dark.matches)
dark.addEventListener('change', followScheme)
followScheme()

/** Swagger UI puts a link into the button that opens an operation; a screen reader would find one control inside of another. */
const plainTitles = () => ({
  wrapComponents: {
    DeepLink:
      (DeepLink, { React }) =>
      (props) =>
        React.createElement(DeepLink, { ...props, enabled: false }),
  },
})

/**
 * Renders /openapi.json, where the hub has Swagger UI. Its GET requests cannot be tried out here, because an event stream does not end: use
 * curl.
 */
globalThis.SwaggerUIBundle?.({
  url: 'openapi.json',
  dom_id: '#docs',
  deepLinking: true,
  plugins: [plainTitles],
  onComplete: () => document.querySelector('#servers')?.setAttribute('aria-label', 'Server'),
  defaultModelsExpandDepth: 0,
  supportedSubmitMethods: ['post', 'delete'],
})
