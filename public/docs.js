/* global SwaggerUIBundle */

/** Renders /openapi.json. Its GET requests cannot be tried out here, because an event stream does not end: use curl. */
SwaggerUIBundle({
  url: 'openapi.json',
  dom_id: '#docs',
  deepLinking: true,
  defaultModelsExpandDepth: 0,
  supportedSubmitMethods: ['post', 'delete'],
})
