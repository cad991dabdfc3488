// Swagger UI over this node's own description. A token lives as long as the page does, and goes nowhere but to the node.
SwaggerUIBundle({
  url: 'openapi.json',
  dom_id: '#reader',
  deepLinking: true,
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  filter: true,
  tryItOutEnabled: true,
  validatorUrl: null, // would send the document to somebody else's server
});
