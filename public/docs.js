/* global SwaggerUIBundle */

/** Shows /openapi.json. An EventSource never ends, so subscribing is left to curl. */
SwaggerUIBundle({
  url: 'openapi.json',
  dom_id: '#docs',
  deepLinking: true,
  defaultModelsExpandDepth: 0,
  supportedSubmitMethods: ['post', 'delete'],
})
