// Shows openapi.json with Swagger UI, which is no part of OpusCine: the extra `docs` installs it.

const dark = matchMedia("(prefers-color-scheme: dark)");
const dress = () => document.documentElement.classList.toggle("dark-mode", dark.matches); // the class that Swagger UI's styles know
dark.addEventListener("change", dress);
dress();

const viewer = document.getElementById("viewer");

if (window.SwaggerUIBundle === undefined) {
  const link = Object.assign(document.createElement("a"), { href: "openapi.json", textContent: "openapi.json" });
  viewer.firstElementChild.replaceChildren("The viewer is not installed (pip install 'opuscine[docs]'). The document itself is ", link, ".");
} else {
  window.SwaggerUIBundle({
    url: "openapi.json",
    domNode: viewer,
    presets: [window.SwaggerUIBundle.presets.apis],
    layout: "BaseLayout",
    docExpansion: "list",
    defaultModelsExpandDepth: 0,
    displayRequestDuration: true,
    validatorUrl: null, // the default would send the document's address to a server of others
    persistAuthorization: false,
  });
}
