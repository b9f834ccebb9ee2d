import { createHash } from 'node:crypto';
import { STATUS_OF, type ErrorCode } from '../common/errors';
import { detailOf, titleOf } from '../common/messages';

/** An HTML page with the Content-Security-Policy that lets exactly it work. */
export interface Page {
  html: string;
  policy: string;
}

const CLOSED = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** The reference: Swagger UI, wholly from this service, reading /openapi.json. */
export const referencePage: Page = {
  policy: `${CLOSED}; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'`,
  html: page(
    'Crealia Klaviyo service',
    '<link rel="stylesheet" href="/docs/assets/swagger-ui.css">',
    '<div id="reference"></div><script src="/docs/assets/swagger-ui-bundle.js"></script><script src="/docs/assets/start.js"></script>',
  ),
};

/** Starts Swagger UI. A file of its own, so that the page needs no inline script. */
export const REFERENCE_START = `SwaggerUIBundle({
  url: '/openapi.json',
  dom_id: '#reference',
  deepLinking: true,
  persistAuthorization: false,
  displayRequestDuration: true,
});
`;

const ERROR_STYLE = `body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem;color:#1b1b1b;background:#fff}
section{border-top:1px solid #ddd;padding:.5rem 0}section:target{background:#fff8e1}h2{font:600 1.1rem ui-monospace,monospace;margin:.5rem 0}
h2 a{color:inherit;text-decoration:none}h2 small{color:#666;font-weight:400}p{margin:.25rem 0}`;

/** Every code with its status and its French and English texts, at the anchor that \`type\` in a problem document names. */
export function errorsPage(): Page {
  const hash = createHash('sha256').update(ERROR_STYLE).digest('base64');
  const sections = (Object.keys(STATUS_OF) as ErrorCode[]).map(section).join('\n');
  return {
    policy: `${CLOSED}; style-src 'sha256-${hash}'`,
    html: page(
      'Codes d’erreur · Error codes',
      `<style>${ERROR_STYLE}</style>`,
      `<h1>Codes d’erreur · <span lang="en">Error codes</span></h1>\n${sections}`,
    ),
  };
}

function section(code: ErrorCode): string {
  const text = (language: 'fr' | 'en') =>
    `<p lang="${language}"><strong>${escape(titleOf(code, language))}.</strong> ${escape(detailOf(code, language, {}))}</p>`;
  return `<section id="${code}"><h2><a href="#${code}">${code}</a> <small>${STATUS_OF[code]}</small></h2>${text('fr')}${text('en')}</section>`;
}

function page(title: string, head: string, body: string): string {
  return `<!doctype html>
<html lang="fr">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1"><title>${title}</title>${head}</head>
<body>${body}</body>
</html>
`;
}

function escape(text: string): string {
  return text.replace(/[&<>"]/g, (char) => `&#${char.charCodeAt(0)};`);
}
