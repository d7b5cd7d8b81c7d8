"use strict";

/* Starts the interactive API documentation. A file of its own: the policy allows no inline script. */
{
  const place = document.getElementById("api-docs");
  window.SwaggerUIBundle({
    url: place.dataset.openapiUrl,
    domNode: place,
    deepLinking: true,
    displayRequestDuration: true,
    tryItOutEnabled: true,
    validatorUrl: null,
  });
}
